//! The ends of containers that their engine was not told of.
//!
//! containerd tells of an end once, to those who listen at that moment. When it comes back after it
//! died, an engine listens again only some seconds later: gRPC waits up to 3 s before it connects
//! anew. A container that ended meanwhile runs for ever in the eyes of its engine, and is never
//! started again (moby 26.1, `processEventStream` in `libcontainerd/remote/client.go`;
//! containerd 1.7, `RemoteEventsPublisher` of the shims, which tries five times).

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, RestartPolicyNameEnum};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptions, ListContainersOptions, RestartContainerOptions,
};
use futures_util::future::join_all;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{ENGINE_LIMIT, Shared, wait};

/// Where containerd makes its socket, each time that it starts.
const CONTAINERD: &str = "/run/containerd";
const SOCKET: &str = "containerd.sock";

/// How long after that an end may be missed: the shims try for 10 s to tell it, and an engine takes
/// 3 s to listen, both more on a slow machine.
const UNSETTLED: Duration = Duration::from_secs(30);

/// Between two looks. An engine that was told shows it before that.
const LOOK: Duration = Duration::from_secs(3);

/// Looks after the containers of both engines whenever there is another containerd, for ever.
pub async fn watch(shared: Rc<Shared>) {
    let Err(error) = whenever_new(&shared).await;
    shared.failure("containerd", &format!("nobody watches over it: {error}"));
}

async fn whenever_new(shared: &Shared) -> std::io::Result<std::convert::Infallible> {
    let changes = Inotify::init(InitFlags::IN_CLOEXEC)?;
    changes.add_watch(CONTAINERD, AddWatchFlags::IN_CREATE)?;
    let (tell, mut told) = mpsc::channel(1);
    // A thread, because to read a descriptor of ours in the runtime takes unsafe code. It is not one of
    // the runtime, which would wait for its end.
    std::thread::spawn(move || {
        loop {
            let seen = changes.read_events();
            let failed = seen.is_err();
            let new = |event: &InotifyEvent| event.name.as_deref() == Some(SOCKET.as_ref());
            let seen = seen.map(|events| events.iter().any(new));
            if tell.blocking_send(seen).is_err() || failed {
                return;
            }
        }
    });
    while let Some(seen) = told.recv().await {
        if seen? {
            let engines = [config::SYSTEM_DOCKER, config::USER_DOCKER];
            join_all(engines.map(|engine| settle(engine, shared))).await;
        }
    }
    Err(std::io::Error::other("the thread ended"))
}

/// Looks at the containers of an engine until it must have been told of every end.
async fn settle(engine: &str, shared: &Shared) {
    let mut gone = BTreeMap::new();
    let settled = async {
        let docker = wait::for_docker(engine, ENGINE_LIMIT).await?;
        let until = Instant::now() + UNSETTLED;
        loop {
            let looked = look(&docker, &mut gone, shared).await;
            if Instant::now() > until {
                return looked.map_err(|error| error.to_string());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    if let Err(error) = settled.await {
        shared.say(&format!("rancher: after another containerd: {error}"));
    }
}

/// Tells an engine of each container whose process is gone now and was at the last look.
async fn look(
    docker: &Docker,
    gone: &mut BTreeMap<String, i64>,
    shared: &Shared,
) -> Result<(), Error> {
    let before = std::mem::take(gone);
    let mut missed = Vec::new();
    for one in docker
        .list_containers(None::<ListContainersOptions>)
        .await?
    {
        let id = one.id.unwrap_or_default();
        // One that was removed meanwhile is none of those.
        let Ok(seen) = docker
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await
        else {
            continue;
        };
        let process = seen.state.as_ref().and_then(|state| state.pid).unwrap_or(0);
        if process == 0 || Path::new(&format!("/proc/{process}")).exists() {
            continue;
        }
        if before.get(&id) == Some(&process) {
            missed.push(seen);
        }
        gone.insert(id, process);
    }
    let told = join_all(missed.iter().map(|one| tell(docker, one, shared))).await;
    told.into_iter().collect()
}

/// Makes an engine see that a container has ended, as it would have by itself: a signal finds no
/// process, and no restart policy holds after it.
async fn tell(
    docker: &Docker,
    container: &ContainerInspectResponse,
    shared: &Shared,
) -> Result<(), Error> {
    let id = container.id.as_deref().unwrap_or_default();
    let name = container
        .name
        .as_deref()
        .unwrap_or(id)
        .trim_start_matches('/');
    shared.say(&format!(
        "rancher: {name} had ended, and its engine did not know"
    ));
    if restarts(container) {
        docker
            .restart_container(id, None::<RestartContainerOptions>)
            .await
    } else {
        docker
            .kill_container(id, None::<KillContainerOptions>)
            .await
    }
}

/// Whether a container is one that its engine starts again. How it ended nobody knows any more, so it
/// has failed.
pub(super) fn restarts(container: &ContainerInspectResponse) -> bool {
    let policy = container
        .host_config
        .as_ref()
        .and_then(|host| host.restart_policy.as_ref());
    matches!(
        policy.and_then(|policy| policy.name),
        Some(
            RestartPolicyNameEnum::ALWAYS
                | RestartPolicyNameEnum::UNLESS_STOPPED
                | RestartPolicyNameEnum::ON_FAILURE
        )
    )
}

#[cfg(test)]
mod tests {
    use bollard::models::{HostConfig, RestartPolicy};

    use super::*;

    fn with(name: Option<RestartPolicyNameEnum>) -> ContainerInspectResponse {
        let policy = RestartPolicy {
            name,
            ..RestartPolicy::default()
        };
        let host = HostConfig {
            restart_policy: Some(policy),
            ..HostConfig::default()
        };
        ContainerInspectResponse {
            host_config: Some(host),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn only_what_its_engine_would_start_again_is_started() {
        assert!(restarts(&with(Some(RestartPolicyNameEnum::ALWAYS))));
        assert!(restarts(&with(Some(RestartPolicyNameEnum::UNLESS_STOPPED))));
        assert!(restarts(&with(Some(RestartPolicyNameEnum::ON_FAILURE))));
        assert!(!restarts(&with(Some(RestartPolicyNameEnum::NO))));
        assert!(!restarts(&with(None)));
        assert!(!restarts(&ContainerInspectResponse::default()));
    }
}

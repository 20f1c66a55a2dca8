//! Exits of containers that their engine has missed.
//!
//! containerd publishes an exit once, to the current subscribers. After a restart of containerd, an engine
//! subscribes again only some seconds later: gRPC waits up to 3 s before it reconnects. If a container
//! exits meanwhile, its engine considers it running for ever and never restarts it (moby 26.1,
//! `processEventStream` in `libcontainerd/remote/client.go`; containerd 1.7, `RemoteEventsPublisher` of
//! the shims, which retries five times).

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
use tokio::time::Instant;

use crate::file_events;
use crate::shared::{ENGINE_TIMEOUT, Shared};

/// The folder in which containerd creates its socket each time it starts.
const CONTAINERD: &str = "/run/containerd";
const SOCKET: &str = "containerd.sock";

/// How long after a start of containerd exits can be missed: the shims retry for 10 s, and an engine takes
/// 3 s to subscribe; both take longer on a slow machine.
const CHECK_PERIOD: Duration = Duration::from_secs(30);

/// The interval between two checks. An engine that received the event shows the exit before that.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// Checks the containers of both engines whenever containerd has restarted.
pub(crate) async fn watch(shared: Rc<Shared>) {
    let Err(error) = on_restart(&shared).await;
    shared.failure(
        "containerd",
        &format!("restarts are no longer noticed: {error}"),
    );
}

async fn on_restart(shared: &Shared) -> std::io::Result<std::convert::Infallible> {
    let changes = Inotify::init(InitFlags::IN_CLOEXEC)?;
    changes.add_watch(CONTAINERD, AddWatchFlags::IN_CREATE)?;
    let mut receiver = file_events::receive(changes);
    while let Some(events) = receiver.recv().await {
        if events?.iter().any(is_socket) {
            let engines = [config::SYSTEM_DOCKER, config::USER_DOCKER];
            join_all(engines.map(|engine| check_for_a_while(engine, shared))).await;
        }
    }
    Err(std::io::Error::other("the thread ended"))
}

fn is_socket(event: &InotifyEvent) -> bool {
    event.name.as_deref() == Some(SOCKET.as_ref())
}

/// Checks the containers of an engine until no more exits can be missed.
async fn check_for_a_while(engine: &str, shared: &Shared) {
    let mut gone = BTreeMap::new();
    let checked = async {
        let docker = engines::connect(engine, ENGINE_TIMEOUT).await?;
        let until = Instant::now() + CHECK_PERIOD;
        loop {
            let result = check(&docker, &mut gone, shared).await;
            if Instant::now() > until {
                return result.map_err(|error| error.to_string());
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    };
    if let Err(error) = checked.await {
        shared.print(&format!("rancher: after a restart of containerd: {error}"));
    }
}

/// Makes the engine notice the exit of each container whose process was missing at the last check and
/// still is.
async fn check(
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
        // The container may have been removed meanwhile.
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
    let noticed = join_all(missed.iter().map(|one| notify(docker, one, shared))).await;
    noticed.into_iter().collect()
}

/// Makes an engine notice the exit of a container. A signal does it, because the engine finds no process;
/// but the engine does not apply the restart policy after a signal, so a container with such a policy is
/// restarted instead.
async fn notify(
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
    shared.print(&format!(
        "rancher: {name} had exited, but its engine missed the exit"
    ));
    if has_restart_policy(container) {
        docker
            .restart_container(id, None::<RestartContainerOptions>)
            .await
    } else {
        docker
            .kill_container(id, None::<KillContainerOptions>)
            .await
    }
}

/// Whether the engine restarts a container that fails. The exit status is not known any more, so an exit
/// counts as a failure.
pub(crate) fn has_restart_policy(container: &ContainerInspectResponse) -> bool {
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
    fn has_restart_policy_is_false_when_the_policy_is_no() {
        assert!(has_restart_policy(&with(Some(
            RestartPolicyNameEnum::ALWAYS
        ))));
        assert!(has_restart_policy(&with(Some(
            RestartPolicyNameEnum::UNLESS_STOPPED
        ))));
        assert!(has_restart_policy(&with(Some(
            RestartPolicyNameEnum::ON_FAILURE
        ))));
        assert!(!has_restart_policy(&with(Some(RestartPolicyNameEnum::NO))));
        assert!(!has_restart_policy(&with(None)));
        assert!(!has_restart_policy(&ContainerInspectResponse::default()));
    }
}

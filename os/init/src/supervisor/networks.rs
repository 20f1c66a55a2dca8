//! Networks that come late: the machine gets the name that DHCP has for it, and the user's containers what
//! they did not have when they were started.
//!
//! An engine starts containers once. One that publishes a port at an address that is not there yet fails
//! for good, and one that starts while the machine has no name server is given 8.8.8.8, or none at all
//! (moby 26.1, `TransformForLegacyNw`, `TransformForIntNS` in `libnetwork/internal/resolvconf`).

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, ListContainersOptionsBuilder,
    RestartContainerOptions, StartContainerOptions,
};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::mpsc;

use super::missed::restarts;
use super::{ENGINE_LIMIT, Shared, wait};
use crate::sys::Linux;

/// Where the service `network` keeps what it knows.
const FOLDER: &str = "/run/network";
const LEASES: &str = "/run/network/leases";
const HOSTNAME: &str = "/run/network/hostname";
const NAME_SERVERS: &str = "/etc/resolv.conf";

/// Several files change together.
const TOGETHER: Duration = Duration::from_millis(500);

/// What moby writes below a `resolv.conf` that it made for a network without and with its own name server.
const PLAIN: &str = "(legacy)";
const OWN_SERVER: &str = "(internal resolver)";
const FALLBACK: &str = "# Used default nameservers.";

/// Watches what the service `network` learns, for ever.
pub async fn watch(shared: Rc<Shared>) {
    let Err(error) = whenever_changed(&shared).await;
    shared.failure("network", &format!("nobody watches over it: {error}"));
}

async fn whenever_changed(shared: &Shared) -> std::io::Result<std::convert::Infallible> {
    std::fs::create_dir_all(LEASES)?;
    let changes = Inotify::init(InitFlags::IN_CLOEXEC)?;
    for folder in [FOLDER, LEASES] {
        changes.add_watch(folder, AddWatchFlags::IN_MOVED_TO)?;
    }
    changes.add_watch(NAME_SERVERS, AddWatchFlags::IN_CLOSE_WRITE)?;
    let (tell, mut told) = mpsc::channel(1);
    // A thread for the same reason as in `missed`.
    std::thread::spawn(move || {
        loop {
            let seen = changes.read_events().map(drop);
            let failed = seen.is_err();
            if tell.blocking_send(seen).is_err() || failed {
                return;
            }
        }
    });
    let mut before = BTreeSet::new();
    loop {
        take_name(shared).await;
        mend(&mut before, shared).await;
        told.recv()
            .await
            .ok_or_else(|| std::io::Error::other("the thread ended"))??;
        tokio::time::sleep(TOGETHER).await;
        while let Ok(more) = told.try_recv() {
            more?;
        }
    }
}

/// Calls the machine what DHCP says, where nobody else says anything.
async fn take_name(shared: &Shared) {
    let Ok(name) = std::fs::read_to_string(HOSTNAME) else {
        return;
    };
    let now = nix::unistd::gethostname().unwrap_or_default();
    if now == name.trim() || config::load_machine().sets_hostname() {
        return;
    }
    if let Err(error) = crate::stages::call(&mut Linux::default(), name.trim()) {
        shared.failure("hostname", &error);
    }
    if let Err(error) = tell_containers().await {
        shared.say(&format!("rancher: the name {}: {error}", name.trim()));
    }
}

/// Gives the system containers that have the machine's name the files that name it: each has a copy of
/// its own.
async fn tell_containers() -> Result<(), String> {
    let docker = wait::for_docker(config::SYSTEM_DOCKER, ENGINE_LIMIT).await?;
    let all = docker.list_containers(None::<ListContainersOptions>).await;
    for one in all.map_err(|error| error.to_string())? {
        let id = one.id.unwrap_or_default();
        let seen = docker.inspect_container(&id, None::<InspectContainerOptions>);
        let Ok(seen) = seen.await else { continue };
        let host = seen.host_config.as_ref();
        if host.and_then(|host| host.uts_mode.as_deref()) != Some("host") {
            continue;
        }
        let copies = [
            ("/etc/hostname", seen.hostname_path),
            ("/etc/hosts", seen.hosts_path),
        ];
        for (file, copy) in copies {
            // In place: it is mounted into the container.
            let copied = std::fs::read(file)
                .and_then(|text| std::fs::write(copy.as_deref().unwrap_or_default(), text));
            copied.map_err(|error| format!("{file}: {error}"))?;
        }
    }
    Ok(())
}

/// Gives the user's containers what they lacked; `before` are the name servers that the machine had.
async fn mend(before: &mut BTreeSet<Vec<String>>, shared: &Shared) {
    let Ok(text) = std::fs::read_to_string(NAME_SERVERS) else {
        return;
    };
    // An engine that is not there yet will find all this when it starts.
    if !Path::new(config::USER_DOCKER).exists() {
        before.insert(servers(&text));
        return;
    }
    let mended = async {
        let docker = wait::for_docker(config::USER_DOCKER, ENGINE_LIMIT).await?;
        let mended = mend_all(&docker, &text, before, shared).await;
        mended.map_err(|error| error.to_string())
    };
    if let Err(error) = mended.await {
        shared.say(&format!("rancher: after another network: {error}"));
    }
    before.insert(servers(&text));
}

async fn mend_all(
    docker: &Docker,
    text: &str,
    before: &BTreeSet<Vec<String>>,
    shared: &Shared,
) -> Result<(), Error> {
    let all = ListContainersOptionsBuilder::new().all(true).build();
    for one in docker.list_containers(Some(all)).await? {
        let id = one.id.unwrap_or_default();
        // One that was removed meanwhile needs nothing.
        let seen = docker.inspect_container(&id, None::<InspectContainerOptions>);
        let Ok(seen) = seen.await else { continue };
        let name = seen.name.as_deref().unwrap_or(&id).trim_start_matches('/');
        let say = |what: &str| shared.say(&format!("rancher: container {name} {what}"));
        match lacks(&seen, text, before) {
            Lack::Nothing => (),
            Lack::Start => {
                let started = docker.start_container(&id, None::<StartContainerOptions>);
                match started.await {
                    Ok(()) => say("could not be started before, and runs now"),
                    // Its address may be that of another network.
                    Err(error) => eprintln!("{name}: {error}"),
                }
            }
            Lack::Servers(new) => match give(&seen, &new) {
                Ok(()) => say("has the name servers of the machine now"),
                Err(error) => say(&format!("has no name servers of the machine: {error}")),
            },
            Lack::Restart => {
                say("was started before there were name servers, and is restarted");
                let again = docker.restart_container(&id, None::<RestartContainerOptions>);
                again.await?;
            }
        }
    }
    Ok(())
}

/// What a container was not given when it was started.
#[derive(Debug, PartialEq, Eq)]
enum Lack {
    Nothing,
    /// It could not be started.
    Start,
    /// This is to be in its `resolv.conf`.
    Servers(String),
    /// Its engine asks name servers for it, and knows none of the machine's.
    Restart,
}

fn lacks(seen: &ContainerInspectResponse, text: &str, before: &BTreeSet<Vec<String>>) -> Lack {
    let state = seen.state.as_ref();
    let runs = state.and_then(|state| state.running).unwrap_or(false);
    if !runs {
        let error = state.and_then(|state| state.error.as_deref());
        let failed = error.is_some_and(|error| !error.is_empty());
        return if failed && restarts(seen) {
            Lack::Start
        } else {
            Lack::Nothing
        };
    }
    let host = seen.host_config.as_ref();
    let own = host.and_then(|host| host.dns.as_ref());
    let path = seen.resolv_conf_path.as_deref().unwrap_or_default();
    let Ok(has) = std::fs::read_to_string(path) else {
        return Lack::Nothing;
    };
    if own.is_some_and(|own| !own.is_empty()) || servers(text).is_empty() {
        return Lack::Nothing;
    }
    lacks_servers(&has, text, before, restarts(seen))
}

fn lacks_servers(has: &str, text: &str, before: &BTreeSet<Vec<String>>, restarts: bool) -> Lack {
    let fallback = has.lines().any(|line| line == FALLBACK);
    if has.contains(OWN_SERVER) {
        return if fallback && restarts {
            Lack::Restart
        } else {
            Lack::Nothing
        };
    }
    let known = servers(has);
    // What people wrote into it is theirs.
    let is_ours = fallback || known.is_empty() || before.contains(&known);
    if !is_ours || known == servers(text) {
        return Lack::Nothing;
    }
    if !has.contains(PLAIN) {
        // On the network of the machine it has a copy.
        return Lack::Servers(text.to_owned());
    }
    // What is left of it are comments and options.
    let replaced = |line: &&str| {
        !["nameserver", "search", FALLBACK]
            .iter()
            .any(|it| line.starts_with(it))
    };
    let mut new: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    new.extend(has.lines().filter(replaced));
    Lack::Servers(new.join("\n") + "\n")
}

/// The name servers in the text of a `resolv.conf`.
fn servers(text: &str) -> Vec<String> {
    let named = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "));
    named.map(|server| server.trim().to_owned()).collect()
}

/// In place: the file is mounted into the container. Its engine would take it for one that people have
/// changed, by the hash beside it.
fn give(seen: &ContainerInspectResponse, text: &str) -> std::io::Result<()> {
    let path = seen.resolv_conf_path.as_deref().unwrap_or_default();
    std::fs::write(path, text)?;
    let _ = std::fs::remove_file(format!("{path}.hash"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "search lab\nnameserver 10.0.4.9\n";

    fn lack(has: &str) -> Lack {
        let before = [vec!["10.0.2.3".to_owned()]].into();
        lacks_servers(has, MACHINE, &before, true)
    }

    #[test]
    fn name_servers_that_nobody_chose_are_replaced() {
        let legacy = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n\n\
                      # Based on host file: '/etc/resolv.conf' (legacy)\n# Used default nameservers.\n# Overrides: []\n";
        assert_eq!(
            lack(legacy),
            Lack::Servers(
                "search lab\nnameserver 10.0.4.9\n\n\
                 # Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: []\n"
                    .into()
            )
        );
        for copy in ["", "nameserver 10.0.2.3\n"] {
            assert_eq!(lack(copy), Lack::Servers(MACHINE.into()), "{copy}");
        }
    }

    #[test]
    fn name_servers_that_somebody_chose_or_that_are_right_stay() {
        for has in [MACHINE, "nameserver 9.9.9.9\n# (legacy)\n"] {
            assert_eq!(lack(has), Lack::Nothing, "{has}");
        }
    }

    #[test]
    fn a_container_whose_engine_asks_for_it_is_restarted() {
        let own =
            "nameserver 127.0.0.11\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n";
        assert_eq!(lack(own), Lack::Nothing);
        let fallback = format!("{own}# Used default nameservers.\n# ExtServers: [8.8.8.8]\n");
        assert_eq!(lack(&fallback), Lack::Restart);
        let nobodys = lacks_servers(&fallback, MACHINE, &BTreeSet::new(), false);
        assert_eq!(nobodys, Lack::Nothing);
    }
}

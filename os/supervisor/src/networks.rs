//! Networks that appear late: sets the host name that DHCP assigns, and repairs the user's containers that
//! started without a network.
//!
//! An engine tries to start a container once. A container that publishes a port at an address that does
//! not exist yet fails for good, and one that starts while the machine has no name server gets 8.8.8.8 or
//! none at all (moby 26.1, `TransformForLegacyNw`, `TransformForIntNS` in `libnetwork/internal/resolvconf`).

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
use sys::Linux;

use crate::file_events;
use crate::missed_exits::has_restart_policy;
use crate::shared::{ENGINE_TIMEOUT, Shared};

/// The files that the service `network` writes.
const FOLDER: &str = "/run/network";
const LEASES: &str = "/run/network/leases";
const HOSTNAME: &str = "/run/network/hostname";
const NAME_SERVERS: &str = "/etc/resolv.conf";

/// The delay after a change, because several files change together.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// Comments that moby appends to a `resolv.conf` that it made for a network without and with its own name
/// server.
const WITHOUT_RESOLVER: &str = "(legacy)";
const WITH_RESOLVER: &str = "(internal resolver)";
/// The comment when moby used its default name servers.
const FALLBACK: &str = "# Used default nameservers.";

/// Watches the files of the service `network`.
pub(crate) async fn watch(shared: Rc<Shared>) {
    let Err(error) = on_change(&shared).await;
    shared.failure(
        "network",
        &format!("changes are no longer noticed: {error}"),
    );
}

async fn on_change(shared: &Shared) -> std::io::Result<std::convert::Infallible> {
    std::fs::create_dir_all(LEASES)?;
    let changes = Inotify::init(InitFlags::IN_CLOEXEC)?;
    for folder in [FOLDER, LEASES] {
        changes.add_watch(folder, AddWatchFlags::IN_MOVED_TO)?;
    }
    changes.add_watch(NAME_SERVERS, AddWatchFlags::IN_CLOSE_WRITE)?;
    let mut receiver = file_events::receive(changes);
    let mut before = BTreeSet::new();
    loop {
        apply_hostname(shared).await;
        repair(&mut before, shared).await;
        receiver
            .recv()
            .await
            .ok_or_else(|| std::io::Error::other("the thread ended"))??;
        tokio::time::sleep(DEBOUNCE).await;
        while let Ok(more) = receiver.try_recv() {
            more?;
        }
    }
}

/// Sets the host name that DHCP assigns, unless the configuration names the machine.
async fn apply_hostname(shared: &Shared) {
    let Ok(name) = std::fs::read_to_string(HOSTNAME) else {
        return;
    };
    let current = nix::unistd::gethostname().unwrap_or_default();
    if current == name.trim() || config::load_machine().sets_hostname() {
        return;
    }
    if let Err(error) = settings::set_hostname(&mut Linux::default(), name.trim()) {
        shared.failure("hostname", &error);
    }
    if let Err(error) = update_containers().await {
        shared.print(&format!("rancher: host name {}: {error}", name.trim()));
    }
}

/// Updates the files with the host name in the system containers that use the machine's: the engine gave
/// each container its own copy.
async fn update_containers() -> Result<(), String> {
    let docker = engines::connect(config::SYSTEM_DOCKER, ENGINE_TIMEOUT).await?;
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
            // In place, because the file is mounted into the container.
            let copied = std::fs::read(file)
                .and_then(|text| std::fs::write(copy.as_deref().unwrap_or_default(), text));
            copied.map_err(|error| format!("{file}: {error}"))?;
        }
    }
    Ok(())
}

/// Repairs the user's containers; `before` has all lists of name servers that the machine had.
async fn repair(before: &mut BTreeSet<Vec<String>>, shared: &Shared) {
    let Ok(text) = std::fs::read_to_string(NAME_SERVERS) else {
        return;
    };
    // An engine that does not run yet uses the current values when it starts.
    if !Path::new(config::USER_DOCKER).exists() {
        before.insert(servers(&text));
        return;
    }
    let repaired = async {
        let docker = engines::connect(config::USER_DOCKER, ENGINE_TIMEOUT).await?;
        let repaired = repair_all(&docker, &text, before, shared).await;
        repaired.map_err(|error| error.to_string())
    };
    if let Err(error) = repaired.await {
        shared.print(&format!("rancher: after a change of the network: {error}"));
    }
    before.insert(servers(&text));
}

async fn repair_all(
    docker: &Docker,
    text: &str,
    before: &BTreeSet<Vec<String>>,
    shared: &Shared,
) -> Result<(), Error> {
    let all = ListContainersOptionsBuilder::new().all(true).build();
    for one in docker.list_containers(Some(all)).await? {
        let id = one.id.unwrap_or_default();
        // The container may have been removed meanwhile.
        let seen = docker.inspect_container(&id, None::<InspectContainerOptions>);
        let Ok(seen) = seen.await else { continue };
        let name = seen.name.as_deref().unwrap_or(&id).trim_start_matches('/');
        let print = |what: &str| shared.print(&format!("rancher: container {name} {what}"));
        match defect(&seen, text, before) {
            Defect::None => (),
            Defect::Start => {
                let started = docker.start_container(&id, None::<StartContainerOptions>);
                match started.await {
                    Ok(()) => print("failed to start before and runs now"),
                    // It may need the address of another network.
                    Err(error) => eprintln!("{name}: {error}"),
                }
            }
            Defect::Servers(new) => match write_servers(&seen, &new) {
                Ok(()) => print("now uses the machine's name servers"),
                Err(error) => print(&format!("does not use the machine's name servers: {error}")),
            },
            Defect::Restart => {
                print("started before there were name servers and is restarted");
                let again = docker.restart_container(&id, None::<RestartContainerOptions>);
                again.await?;
            }
        }
    }
    Ok(())
}

/// What is wrong with a container that started without a network.
#[derive(Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// It failed to start.
    Start,
    /// Its `resolv.conf` has old name servers; the value is the new text.
    Servers(String),
    /// Its engine resolves names for it, but does not use the machine's name servers.
    Restart,
}

fn defect(seen: &ContainerInspectResponse, text: &str, before: &BTreeSet<Vec<String>>) -> Defect {
    let state = seen.state.as_ref();
    let runs = state.and_then(|state| state.running).unwrap_or(false);
    if !runs {
        let error = state.and_then(|state| state.error.as_deref());
        let failed = error.is_some_and(|error| !error.is_empty());
        return if failed && has_restart_policy(seen) {
            Defect::Start
        } else {
            Defect::None
        };
    }
    let host = seen.host_config.as_ref();
    let own = host.and_then(|host| host.dns.as_ref());
    let path = seen.resolv_conf_path.as_deref().unwrap_or_default();
    let Ok(has) = std::fs::read_to_string(path) else {
        return Defect::None;
    };
    if own.is_some_and(|own| !own.is_empty()) || servers(text).is_empty() {
        return Defect::None;
    }
    server_defect(&has, text, before, has_restart_policy(seen))
}

fn server_defect(has: &str, text: &str, before: &BTreeSet<Vec<String>>, restarts: bool) -> Defect {
    let fallback = has.lines().any(|line| line == FALLBACK);
    if has.contains(WITH_RESOLVER) {
        return if fallback && restarts {
            Defect::Restart
        } else {
            Defect::None
        };
    }
    let known = servers(has);
    // Name servers that people wrote into the file are kept.
    let is_ours = fallback || known.is_empty() || before.contains(&known);
    if !is_ours || known == servers(text) {
        return Defect::None;
    }
    if !has.contains(WITHOUT_RESOLVER) {
        // On the host's network the container has a copy of the machine's file.
        return Defect::Servers(text.to_owned());
    }
    // Comments and options are kept.
    let replaced = |line: &&str| {
        !["nameserver", "search", FALLBACK]
            .iter()
            .any(|it| line.starts_with(it))
    };
    let mut new: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    new.extend(has.lines().filter(replaced));
    Defect::Servers(new.join("\n") + "\n")
}

/// The name servers in the text of a `resolv.conf`.
fn servers(text: &str) -> Vec<String> {
    let named = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "));
    named.map(|server| server.trim().to_owned()).collect()
}

/// Writes the file in place, because it is mounted into the container, and removes the hash beside it:
/// from a wrong hash the engine would conclude that people changed the file.
fn write_servers(seen: &ContainerInspectResponse, text: &str) -> std::io::Result<()> {
    let path = seen.resolv_conf_path.as_deref().unwrap_or_default();
    std::fs::write(path, text)?;
    let _ = std::fs::remove_file(format!("{path}.hash"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "search lab\nnameserver 10.0.4.9\n";

    fn defect_of(has: &str) -> Defect {
        let before = [vec!["10.0.2.3".to_owned()]].into();
        server_defect(has, MACHINE, &before, true)
    }

    #[test]
    fn name_servers_are_replaced_when_they_are_defaults() {
        let legacy = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n\n\
                      # Based on host file: '/etc/resolv.conf' (legacy)\n# Used default nameservers.\n# Overrides: []\n";
        assert_eq!(
            defect_of(legacy),
            Defect::Servers(
                "search lab\nnameserver 10.0.4.9\n\n\
                 # Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: []\n"
                    .into()
            )
        );
        for copy in ["", "nameserver 10.0.2.3\n"] {
            assert_eq!(defect_of(copy), Defect::Servers(MACHINE.into()), "{copy}");
        }
    }

    #[test]
    fn name_servers_are_kept_when_people_chose_them() {
        for has in [MACHINE, "nameserver 9.9.9.9\n# (legacy)\n"] {
            assert_eq!(defect_of(has), Defect::None, "{has}");
        }
    }

    #[test]
    fn container_is_restarted_when_its_engine_resolves_names() {
        let own =
            "nameserver 127.0.0.11\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n";
        assert_eq!(defect_of(own), Defect::None);
        let fallback = format!("{own}# Used default nameservers.\n# ExtServers: [8.8.8.8]\n");
        assert_eq!(defect_of(&fallback), Defect::Restart);
        let manual = server_defect(&fallback, MACHINE, &BTreeSet::new(), false);
        assert_eq!(manual, Defect::None);
    }
}

//! The engine's process: starts it, forwards signals, switches `live-restore` while it runs, and records
//! whether it exited before it was ready.
//!
//! The switching lets containers survive a restart of the engine, and a swarm be created at any time.
//! dockerd has `live-restore` for the former, and rejects `docker swarm init` and `join` while it is on
//! (moby 26.1, `Config.IsSwarmCompatible` in `daemon/config/config_linux.go`, called by
//! `Cluster.newNodeRunner`). It evaluates the setting at two moments only: when it starts, to adopt or stop
//! running containers (`Daemon.restore`), and when it shuts down, to keep or stop them
//! (`Daemon.Shutdown`). So the setting is on at these two moments and off in between; the engine reads its
//! settings file again at SIGHUP. In a swarm the setting stays off.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::adopted;
use crate::arguments::Accepted;
use crate::flannel::{self, Subnet};
use crate::report::warn;
use crate::restarted;

/// The socket on which the engine reports that it is ready: sd_notify(3).
const NOTIFY: &str = "/run/user-docker.notify";

/// The timeout for the engine to reload its settings during a stop; system-docker kills this container 10 s
/// after its SIGTERM.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(6);

/// The delay for a reload that the engine did not confirm.
const UNCONFIRMED_DELAY: Duration = Duration::from_secs(1);

/// The timeout of one request to the engine, in seconds.
const REQUEST_TIMEOUT: u64 = 30;

/// Runs the engine until it exits; returns its exit status, or `None` if it was stopped because another subnet
/// than `subnet` is to be used. `subnet_written` notifies of a subnet that may be another one. `is_first` is false
/// if this program has stopped the containers, so that the engine finds none that kept running.
///
/// # Errors
/// The engine cannot be started.
pub(crate) fn run(
    accepted: &Accepted,
    subnet: Option<&Subnet>,
    subnet_written: &Notify,
    is_first: bool,
) -> std::io::Result<Option<ExitCode>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let status = runtime.block_on(supervise(accepted, subnet, subnet_written, is_first))?;
    Ok(status.map(|status| code(status).into()))
}

/// The exit status as a shell reports it: 128 plus the signal that ended the process.
fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

async fn supervise(
    accepted: &Accepted,
    subnet: Option<&Subnet>,
    subnet_written: &Notify,
    is_first: bool,
) -> std::io::Result<Option<ExitStatus>> {
    let mut ends = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let _ = std::fs::remove_file(NOTIFY);
    let notify = UnixDatagram::bind(NOTIFY)?;
    // If containers are to end with the engine, the setting is always off.
    let swarm = swarm_state(&accepted.words);
    let survive = || accepted.live_restore && !is_swarm(&swarm);
    engines::set_live_restore(survive()).await?;
    let mut engine = Command::new(engines::PROGRAM)
        .args(&accepted.words)
        .env("NOTIFY_SOCKET", NOTIFY)
        .spawn()?;
    let mut message = [0; 4096];
    let mut used = subnet.cloned();
    let mut is_ready = false;
    let mut is_restart = false;
    // Whether the engine was ready or was asked to end: its settings work then.
    let mut is_good = false;
    loop {
        tokio::select! {
            _ = ends.recv() => {
                if let Some(status) = engine.try_wait()? {
                    if !is_good && status.code().is_some_and(|code| code != 0) {
                        accepted.reject();
                    }
                    return Ok((!is_restart).then_some(status));
                }
            }
            length = notify.recv(&mut message) => {
                if !has_ready_line(&message[..length?]) {
                    continue;
                }
                is_good = true;
                if accepted.live_restore {
                    engines::set_live_restore(false).await?;
                    send(&engine, Signal::SIGHUP);
                }
                start_saved().await;
                if is_first {
                    used = used_subnet(accepted, subnet).await;
                }
                is_ready = true;
                // The subnet may have changed before.
                subnet_written.notify_one();
            }
            () = subnet_written.notified(), if is_ready && !is_restart => {
                is_restart = has_new_subnet(used.as_ref()).await;
                if is_restart {
                    stop_with_containers(&engine).await;
                }
            }
            _ = hang_up.recv() => send(&engine, Signal::SIGHUP),
            _ = terminate.recv() => {
                (is_good, is_restart) = (true, false);
                shut_down(&engine, survive()).await;
            }
            _ = interrupt.recv() => {
                (is_good, is_restart) = (true, false);
                shut_down(&engine, survive()).await;
            }
        }
    }
}

/// The subnet that the engine uses. It is not `asked` if containers kept running without the engine before it.
async fn used_subnet(accepted: &Accepted, asked: Option<&Subnet>) -> Option<Subnet> {
    let asked = asked?;
    match connect() {
        Ok(docker) => adopted::used_subnet(&docker, &accepted.words, asked).await,
        Err(_) => Some(asked.clone()),
    }
}

/// Whether flannel has leased another subnet than the engine uses. Reports it, and saves which containers run.
async fn has_new_subnet(used: Option<&Subnet>) -> bool {
    let Some(new) = flannel::current().filter(|new| Some(new) != used) else {
        return false;
    };
    let saved = match connect() {
        Ok(docker) => restarted::save_running(&docker).await,
        Err(error) => Err(error),
    };
    let was = used.map_or("Docker's own", |used| used.address.as_str());
    let count = saved.as_ref().copied().unwrap_or_default();
    warn(&format!(
        "flannel's subnet is {} (before: {was}); restarting the engine and its {count} running containers",
        new.address
    ));
    if let Err(error) = saved {
        warn(&format!(
            "only containers with a restart policy start again: {error}"
        ));
    }
    true
}

/// Starts the containers again that ran before the engine was restarted.
async fn start_saved() {
    if let Ok(docker) = connect() {
        restarted::start_saved(&docker).await;
    }
}

fn connect() -> Result<Docker, String> {
    let docker =
        Docker::connect_with_unix(config::USER_DOCKER, REQUEST_TIMEOUT, API_DEFAULT_VERSION);
    docker.map_err(|error| error.to_string())
}

fn has_ready_line(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == b'\n')
        .any(|line| line == b"READY=1")
}

/// Sends a signal to the engine; it fails if the engine has just exited.
fn send(engine: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(engine.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Asks the engine to exit, and to keep its containers running if they are to survive it.
async fn shut_down(engine: &Child, survive: bool) {
    if survive && engines::set_live_restore(true).await.is_ok() {
        let reloaded = tokio::time::timeout(RELOAD_TIMEOUT, reload(engine));
        if reloaded.await.ok().flatten().is_none() {
            tokio::time::sleep(UNCONFIRMED_DELAY).await;
        }
    }
    send(engine, Signal::SIGTERM);
}

/// Asks the engine to stop its containers and to exit. They keep their restart policies.
async fn stop_with_containers(engine: &Child) {
    // The reload after its start may not be complete, and with live restore containers would keep running.
    let _ = tokio::time::timeout(RELOAD_TIMEOUT, reload(engine)).await;
    send(engine, Signal::SIGTERM);
}

async fn reload(engine: &Child) -> Option<()> {
    let docker = connect();
    let hang_up = || send(engine, Signal::SIGHUP);
    match docker {
        Ok(docker) => engines::reload(&docker, hang_up).await,
        Err(_) => {
            hang_up();
            None
        }
    }
}

/// The folder of the engine's swarm state.
fn swarm_state(arguments: &[OsString]) -> PathBuf {
    let roots = arguments.iter().filter_map(|word| word.to_str());
    let mut roots = roots.filter_map(|word| word.strip_prefix("--data-root="));
    Path::new(roots.next_back().unwrap_or("/var/lib/docker")).join("swarm")
}

/// Whether the engine is in a swarm: it has a state file and a certificate (moby 26.1,
/// `loadPersistentState` in `daemon/cluster/utils.go` and `Cluster.Start`).
fn is_swarm(state: &Path) -> bool {
    let files = ["docker-state.json", "certificates/swarm-node.crt"];
    files.iter().all(|file| state.join(file).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swarm_state_is_below_the_data_root() {
        let arguments = ["--debug", "--data-root=/x"].map(OsString::from);
        assert_eq!(swarm_state(&arguments), Path::new("/x/swarm"));
        assert_eq!(swarm_state(&[]), Path::new("/var/lib/docker/swarm"));
    }

    #[test]
    fn is_swarm_is_false_when_there_is_no_certificate() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("docker-state.json"), "{}").unwrap();
        assert!(!is_swarm(folder.path()));
        std::fs::create_dir(folder.path().join("certificates")).unwrap();
        std::fs::write(folder.path().join("certificates/swarm-node.crt"), "").unwrap();
        assert!(is_swarm(folder.path()));
    }

    #[test]
    fn has_ready_line_ignores_other_messages() {
        assert!(has_ready_line(b"STATUS=x\nREADY=1"));
        assert!(!has_ready_line(b"STOPPING=1"));
    }
}

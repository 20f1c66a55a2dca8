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

use crate::arguments::Accepted;

/// The socket on which the engine reports that it is ready: sd_notify(3).
const NOTIFY: &str = "/run/user-docker.notify";

/// The timeout for the engine to reload its settings during a stop; system-docker kills this container 10 s
/// after its SIGTERM.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(6);

/// The delay for a reload that the engine did not confirm.
const UNCONFIRMED_DELAY: Duration = Duration::from_secs(1);

/// The timeout of one request to the engine, in seconds.
const REQUEST_TIMEOUT: u64 = 30;

/// Runs the engine until it exits; returns its exit status.
///
/// # Errors
/// The engine cannot be started.
pub(crate) fn run(accepted: &Accepted) -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let status = runtime.block_on(supervise(accepted))?;
    Ok(code(status).into())
}

/// The exit status as a shell reports it: 128 plus the signal that ended the process.
fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

async fn supervise(accepted: &Accepted) -> std::io::Result<ExitStatus> {
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
    // Whether the engine was ready or was asked to end: its settings work then.
    let mut is_good = false;
    loop {
        tokio::select! {
            _ = ends.recv() => {
                if let Some(status) = engine.try_wait()? {
                    if !is_good && status.code().is_some_and(|code| code != 0) {
                        accepted.reject();
                    }
                    return Ok(status);
                }
            }
            length = notify.recv(&mut message) => {
                if is_ready(&message[..length?]) {
                    is_good = true;
                    if !accepted.live_restore {
                        continue;
                    }
                    engines::set_live_restore(false).await?;
                    send(&engine, Signal::SIGHUP);
                }
            }
            _ = hang_up.recv() => send(&engine, Signal::SIGHUP),
            _ = terminate.recv() => {
                is_good = true;
                shut_down(&engine, survive()).await;
            }
            _ = interrupt.recv() => {
                is_good = true;
                shut_down(&engine, survive()).await;
            }
        }
    }
}

fn is_ready(message: &[u8]) -> bool {
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

async fn reload(engine: &Child) -> Option<()> {
    let docker =
        Docker::connect_with_unix(config::USER_DOCKER, REQUEST_TIMEOUT, API_DEFAULT_VERSION);
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
    fn is_ready_when_the_message_has_the_ready_line() {
        assert!(is_ready(b"STATUS=x\nREADY=1"));
        assert!(!is_ready(b"STOPPING=1"));
    }
}

//! Runs the user's engine so that containers survive its restart and a swarm can be made at any time, and
//! remembers an engine that exits before it is ready.
//!
//! dockerd has `live-restore` for the first, and refuses `docker swarm init` and `join` while it is on
//! (moby 26.1, `Config.IsSwarmCompatible` in `daemon/config/config_linux.go`, asked by
//! `Cluster.newNodeRunner`). It reads the setting at two moments only: when it starts, where containers
//! that run are taken over or stopped (`Daemon.restore`), and when it is asked to end, where they are
//! left alone or stopped (`Daemon.Shutdown`). So it is on at these two and off in between, by the file
//! that the engine reads again at SIGHUP. In a swarm it stays off.

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

use super::arguments::Accepted;
use crate::engine;

/// Where the engine says that it is ready: sd_notify(3).
const NOTIFY: &str = "/run/user-docker.notify";

/// How long it may take to read its settings; system-docker kills what has not ended after 10 s.
const RELOAD_LIMIT: Duration = Duration::from_secs(6);

/// How long it is given where it does not say that it has read them.
const UNSURE: Duration = Duration::from_secs(1);

/// How long one request to the engine may take, in seconds.
const REQUEST_LIMIT: u64 = 30;

/// Runs the engine to its end, which is that of this process.
///
/// # Errors
/// It cannot be started.
pub(super) fn run(accepted: &Accepted) -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let status = runtime.block_on(keep(accepted))?;
    Ok(code(status).into())
}

/// As a shell has it: 128 and the signal that ended it.
fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

async fn keep(accepted: &Accepted) -> std::io::Result<ExitStatus> {
    let mut ends = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let _ = std::fs::remove_file(NOTIFY);
    let notify = UnixDatagram::bind(NOTIFY)?;
    // Where containers are to end with the engine, it is off all the time.
    let swarm = swarm_state(&accepted.words);
    let survive = || accepted.live_restore && !is_swarm(&swarm);
    engines::set_live_restore(survive()).await?;
    let mut engine = Command::new(engine::PROGRAM)
        .args(&accepted.words)
        .env("NOTIFY_SOCKET", NOTIFY)
        .spawn()?;
    let mut said = [0; 4096];
    // Whether it is known that its end is nobody's fault.
    let mut is_good = false;
    loop {
        tokio::select! {
            _ = ends.recv() => {
                if let Some(status) = engine.try_wait()? {
                    if !is_good && status.code().is_some_and(|code| code != 0) {
                        accepted.refuse();
                    }
                    return Ok(status);
                }
            }
            length = notify.recv(&mut said) => {
                if is_ready(&said[..length?]) {
                    is_good = true;
                    if !accepted.live_restore {
                        continue;
                    }
                    engines::set_live_restore(false).await?;
                    tell(&engine, Signal::SIGHUP);
                }
            }
            _ = hang_up.recv() => tell(&engine, Signal::SIGHUP),
            _ = terminate.recv() => {
                is_good = true;
                end(&engine, survive()).await;
            }
            _ = interrupt.recv() => {
                is_good = true;
                end(&engine, survive()).await;
            }
        }
    }
}

fn is_ready(said: &[u8]) -> bool {
    said.split(|byte| *byte == b'\n')
        .any(|line| line == b"READY=1")
}

/// One that has just ended needs no signal.
fn tell(engine: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(engine.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Asks the engine to end, and to leave its containers alone if they are to survive it.
async fn end(engine: &Child, survive: bool) {
    if survive && engines::set_live_restore(true).await.is_ok() {
        let read = tokio::time::timeout(RELOAD_LIMIT, read_again(engine));
        if read.await.ok().flatten().is_none() {
            tokio::time::sleep(UNSURE).await;
        }
    }
    tell(engine, Signal::SIGTERM);
}

async fn read_again(engine: &Child) -> Option<()> {
    let docker = Docker::connect_with_unix(config::USER_DOCKER, REQUEST_LIMIT, API_DEFAULT_VERSION);
    let hang_up = || tell(engine, Signal::SIGHUP);
    match docker {
        Ok(docker) => engines::read_anew(&docker, hang_up).await,
        Err(_) => {
            hang_up();
            None
        }
    }
}

/// Where the engine keeps what it knows of its swarm.
fn swarm_state(arguments: &[OsString]) -> PathBuf {
    let roots = arguments.iter().filter_map(|word| word.to_str());
    let mut roots = roots.filter_map(|word| word.strip_prefix("--data-root="));
    Path::new(roots.next_back().unwrap_or("/var/lib/docker")).join("swarm")
}

/// Whether the engine is part of a swarm: it has a state, and its certificate (moby 26.1,
/// `loadPersistentState` in `daemon/cluster/utils.go` and `Cluster.Start`).
fn is_swarm(state: &Path) -> bool {
    let files = ["docker-state.json", "certificates/swarm-node.crt"];
    files.iter().all(|file| state.join(file).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swarm_is_where_the_engine_keeps_its_files() {
        let arguments = ["--debug", "--data-root=/x"].map(OsString::from);
        assert_eq!(swarm_state(&arguments), Path::new("/x/swarm"));
        assert_eq!(swarm_state(&[]), Path::new("/var/lib/docker/swarm"));
    }

    #[test]
    fn state_without_a_certificate_is_no_swarm() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("docker-state.json"), "{}").unwrap();
        assert!(!is_swarm(folder.path()));
        std::fs::create_dir(folder.path().join("certificates")).unwrap();
        std::fs::write(folder.path().join("certificates/swarm-node.crt"), "").unwrap();
        assert!(is_swarm(folder.path()));
    }

    #[test]
    fn engine_is_ready_when_it_says_so() {
        assert!(is_ready(b"STATUS=x\nREADY=1"));
        assert!(!is_ready(b"STOPPING=1"));
    }
}

//! `harness run`, `ssh` and `stop`, with the small guest for an OS.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::artifacts::Artifacts;
use harness::interactive::{RunOptions, run, stop};

use crate::{guest, profile};

/// The state folder of the process that runs a machine: this test program once more.
const RUN: &str = "HARNESS_TEST_RUN";
const BACKGROUND: &str = "HARNESS_TEST_BACKGROUND";
/// Not 2222: somebody may use that.
const PORT: u16 = 22322;

fn options(guest: &guest::Guest, folder: PathBuf) -> RunOptions {
    RunOptions {
        profile: profile().resolve(&guest.kernel).unwrap(),
        artifacts: Artifacts {
            kernel: guest.kernel.clone(),
            initrd: guest.initrd.clone(),
        },
        fresh: false,
        port: PORT,
        memory: Some(256),
        append: vec![],
        cloud_config: None,
        background: std::env::var_os(BACKGROUND).is_some(),
        state_folder: folder,
    }
}

/// Not a test by itself.
#[test]
fn runner() {
    let Some(folder) = std::env::var_os(RUN) else {
        return;
    };
    let result = run(options(&guest::get().unwrap(), folder.into()));
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

fn runner_command(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "interactive::runner", "--nocapture"])
        .env(RUN, folder)
        .stdin(Stdio::null());
    command
}

#[test]
fn a_machine_in_the_background_outlives_the_command_and_stops() {
    if guest::get().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let started = runner_command(folder.path())
        .env(BACKGROUND, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(
        started.status.success() && said.contains("ready: ssh -p 22322"),
        "{said}"
    );
    std::net::TcpStream::connect(("127.0.0.1", PORT)).unwrap();

    let second = runner_command(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(
        said.contains("already running") && said.contains("port 22322"),
        "{said}"
    );

    stop(folder.path()).unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", PORT)).is_err());
    assert!(folder.path().join("state.img").exists());
    // Nothing to stop is no mistake.
    stop(folder.path()).unwrap();
}

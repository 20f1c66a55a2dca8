//! `harness run`, `ssh` and `stop`, with the small guest as the OS.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::artifacts::Artifacts;
use harness::interactive::{RunOptions, run, stop};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rexpect::session::{PtySession, spawn_command};

use crate::{guest, profile};

/// The variable with the state folder, set for the process that runs the machine: this test program again.
const RUN: &str = "HARNESS_TEST_RUN";
const BACKGROUND: &str = "HARNESS_TEST_BACKGROUND";
/// The variable with the port of that machine.
const PORT: &str = "HARNESS_TEST_PORT";

/// A free port: not 2222, which may be in use, and not that of another test.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn small() -> Artifacts {
    let guest = guest::get();
    Artifacts {
        kernel: guest.kernel,
        initrd: guest.initrd,
    }
}

pub(crate) fn options(artifacts: Artifacts, folder: PathBuf, port: u16) -> RunOptions {
    RunOptions {
        profile: profile().resolve(&artifacts.kernel).unwrap(),
        artifacts,
        machines: 1,
        fresh: false,
        port,
        memory: Some(256),
        append: vec![],
        cloud_config: None,
        background: std::env::var_os(BACKGROUND).is_some(),
        state_folder: folder,
    }
}

/// Not a test: the entry point of the process that runs the machine.
#[test]
fn runner() {
    let Some(folder) = std::env::var_os(RUN) else {
        return;
    };
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let result = run(options(small(), folder.into(), port));
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

fn runner_command(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "interactive::runner", "--nocapture"])
        .env(RUN, folder)
        .env(PORT, port.to_string())
        .stdin(Stdio::null());
    command
}

/// Returns when the machine accepts logins.
fn start_in_background(folder: &Path, port: u16) {
    let started = runner_command(folder, port)
        .env(BACKGROUND, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(
        started.status.success() && said.contains(&format!("ready: ssh -p {port}")),
        "{said}"
    );
}

#[test]
fn background_machine_outlives_the_command_and_stops() {
    guest::get();
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    start_in_background(folder.path(), port);
    TcpStream::connect(("127.0.0.1", port)).unwrap();

    let second = runner_command(folder.path(), port).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(
        said.contains("already running") && said.contains(&format!("port {port}")),
        "{said}"
    );

    stop(folder.path()).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(folder.path().join("state.img").exists());
    // Stopping without a machine is not an error.
    stop(folder.path()).unwrap();
}

#[test]
fn stop_kills_an_owner_that_hangs_with_its_machine() {
    guest::get();
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    start_in_background(folder.path(), port);
    let lock = std::fs::read(folder.path().join("lock")).unwrap();
    let running: serde_json::Value = serde_json::from_slice(&lock).unwrap();
    let owner = Pid::from_raw(running["pid"].as_i64().unwrap().try_into().unwrap());
    kill(owner, Signal::SIGSTOP).unwrap();
    stop(folder.path()).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// Runs it in a separate terminal.
fn in_terminal(folder: &Path, port: u16) -> PtySession {
    let mut command = runner_command(folder, port);
    command.stdin(Stdio::inherit());
    spawn_command(command, Some(120_000)).unwrap()
}

fn type_in(terminal: &mut PtySession, text: &str) {
    terminal.send(text).unwrap();
    terminal.flush().unwrap();
}

#[test]
fn run_connects_the_console_to_the_terminal() {
    guest::get();
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut terminal = in_terminal(folder.path(), port);
    terminal.exp_string("Ctrl-A X stops it").unwrap();
    terminal
        .exp_string(&format!("ready: ssh -p {port}"))
        .unwrap();
    type_in(&mut terminal, "\r");
    terminal.exp_string("login: ").unwrap();
    type_in(&mut terminal, "rancher\r");
    terminal.exp_string("Password: ").unwrap();
    type_in(&mut terminal, &format!("{}\r", guest::PASSWORD));
    terminal.exp_string("$ ").unwrap();
    // After a reboot, the same machine is in the same terminal.
    type_in(&mut terminal, "echo b > /proc/sysrq-trigger\r");
    terminal.exp_string("Linux version").unwrap();
    terminal.exp_string("test guest started").unwrap();
    type_in(&mut terminal, "\r");
    terminal.exp_string("login: ").unwrap();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    type_in(&mut terminal, "\u{1}x");
    terminal.exp_string("powering off").unwrap();
    // A second time, because the guest of this test ignores the power button.
    type_in(&mut terminal, "\u{1}x");
    terminal.exp_eof().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn ctrl_c_during_the_boot_leaves_no_process() {
    guest::get();
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut terminal = in_terminal(folder.path(), port);
    terminal.exp_string("Linux version").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_eof().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    stop(folder.path()).unwrap();
}

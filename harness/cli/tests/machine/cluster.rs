//! `harness run --machines`, with the OS of this tree as the guest.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base::wait::{Poll, wait_until};
use harness::artifacts::{self, Artifacts};
use harness::interactive::{RunOptions, run, ssh, stop};
use harness::project;
use machine::KeyPair;

use crate::LONG;
use crate::interactive::options;

/// The variable with the state folder, set for a process of the owner: this test program again.
const RUN: &str = "HARNESS_TEST_CLUSTER";
/// The variable with the first port.
const PORT: &str = "HARNESS_TEST_PORT";
/// The variable with the machine to enter, and that with the command.
const MACHINE: &str = "HARNESS_TEST_MACHINE";
const COMMAND: &str = "HARNESS_TEST_COMMAND";

fn os() -> Artifacts {
    artifacts::of_environment(&project::find()).unwrap()
}

fn two(folder: PathBuf, port: u16) -> RunOptions {
    RunOptions {
        machines: 2,
        memory: Some(1024),
        ..options(os(), folder, port)
    }
}

/// The first of two free ports.
fn two_free_ports() -> u16 {
    let free = |port| TcpListener::bind(("127.0.0.1", port));
    loop {
        let first = free(0).unwrap();
        let port = first.local_addr().unwrap().port();
        if port.checked_add(1).is_some_and(|next| free(next).is_ok()) {
            return port;
        }
    }
}

/// Not a test: the process that runs the machines.
#[test]
fn owner() {
    let Some(folder) = std::env::var_os(RUN) else {
        return;
    };
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let options = RunOptions {
        background: true,
        ..two(folder.into(), port)
    };
    let result = run(options);
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

/// Not a test: the process that becomes the SSH client.
#[test]
fn client() {
    let (Some(folder), Ok(command)) = (std::env::var_os(RUN), std::env::var(COMMAND)) else {
        return;
    };
    let machine = std::env::var(MACHINE).ok();
    let result = ssh(Path::new(&folder), machine.as_deref(), vec![command]);
    panic!("{}", result.unwrap_err());
}

fn this_program(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("cluster::{test}"), "--nocapture"])
        .env(RUN, folder)
        .stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr];
    parts.map(|part| String::from_utf8_lossy(part)).concat()
}

/// Runs a command in a machine.
fn in_machine(folder: &Path, machine: Option<&str>, command: &str) -> Output {
    let mut program = this_program("client", folder);
    if let Some(machine) = machine {
        program.env(MACHINE, machine);
    }
    program.env(COMMAND, command).output().unwrap()
}

/// The exit status of OpenSSH's client if its connection failed (ssh(1)).
const CONNECTION_FAILED: i32 = 255;

/// The output of a command that must succeed. A connection that is lost is made once more, and what the machines
/// printed until then is shown.
fn printed(folder: &Path, machine: &str, command: &str) -> String {
    let mut output = in_machine(folder, Some(machine), command);
    if output.status.code() == Some(CONNECTION_FAILED) {
        let (lost, logs) = (said(&output), logs(folder));
        eprintln!("{machine}: {command}: the connection was lost: {lost}\n{logs}");
        output = in_machine(folder, Some(machine), command);
    }
    assert!(
        output.status.success(),
        "{machine}: {command}: {}\n{}",
        said(&output),
        logs(folder)
    );
    said(&output)
}

/// What the owner printed, and the ends of the serial logs.
fn logs(folder: &Path) -> String {
    let mut text = std::fs::read_to_string(folder.join("run.log")).unwrap_or_default();
    for run in std::fs::read_dir(folder.join("evidence"))
        .into_iter()
        .flatten()
        .flatten()
    {
        for machine in ["a", "b"] {
            let log = std::fs::read(run.path().join(machine).join("serial.log"));
            let log = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
            let from = log.rmatch_indices('\n').nth(30).map_or(0, |(at, _)| at);
            text += &format!("\n{machine}: {}", &log[from..]);
        }
    }
    text
}

/// A home folder with a key, which machines accept.
fn home(keys: &KeyPair) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    std::fs::write(home.path().join(".ssh/id.pub"), &keys.public).unwrap();
    home
}

/// The system's client does not look for keys in `HOME`, but this file is given to it.
fn write_login_key(folder: &Path, machine: &str, keys: &KeyPair) {
    use std::os::unix::fs::PermissionsExt as _;

    let file = folder.join(format!("login-key-{machine}"));
    std::fs::write(&file, &keys.private).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn machines_of_a_cluster_reach_each_other_by_name_and_stop_together() {
    let (temp, port) = (tempfile::tempdir().unwrap(), two_free_ports());
    let (folder, keys) = (temp.path(), KeyPair::generate());
    let home = home(&keys);
    let started = this_program("owner", folder)
        .env(PORT, port.to_string())
        .env("HOME", home.path())
        .output()
        .unwrap();
    let text = said(&started);
    assert!(started.status.success(), "{text}");
    let lines = [
        "a: ready after ".to_owned(),
        "b: ready after ".to_owned(),
        "ready: 2 machines, which reach each other by name".to_owned(),
        format!("  a  10.9.0.1  harness ssh a, or ssh -p {port} rancher@localhost, with your key"),
        format!(
            "  b  10.9.0.2  harness ssh b, or ssh -p {} rancher@localhost",
            port + 1
        ),
    ];
    for line in lines {
        assert!(text.contains(&line), "{line}\n{text}");
    }
    assert!(!text.contains("does not use"), "{text}");

    for machine in ["a", "b"] {
        write_login_key(folder, machine, &keys);
    }
    for (machine, other) in [("a", "b"), ("b", "a")] {
        let name = printed(folder, machine, "hostname");
        assert!(name.lines().any(|line| line == machine), "{name}");
        let address = if other == "a" { "10.9.0.1" } else { "10.9.0.2" };
        for name in [other.to_owned(), format!("{other}.lan")] {
            let ping = format!("sudo ping -c 1 {name}");
            assert!(printed(folder, machine, &ping).contains(address));
        }
    }
    let unnamed = said(&in_machine(folder, None, "true"));
    assert!(
        unnamed.contains("several machines are running: a, b;"),
        "{unnamed}"
    );
    let unknown = said(&in_machine(folder, Some("c"), "true"));
    assert!(
        unknown.contains("no machine `c`; running: a, b;"),
        "{unknown}"
    );
    let second = run(two(folder.into(), port)).unwrap_err().to_string();
    assert!(
        second.contains(&format!("b: port {}", port + 1)),
        "{second}"
    );

    // A machine that powers off leaves the other running.
    in_machine(folder, Some("b"), "sudo poweroff");
    let gone = async || match said(&in_machine(folder, Some("b"), "true")) {
        said if said.contains("running: a;") => Poll::Ready(()),
        said => Poll::NotYet(said),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gone = runtime.block_on(wait_until("the end of b", LONG, gone));
    gone.unwrap();
    assert!(printed(folder, "a", "hostname").contains('a'));

    stop(folder).unwrap();
    for port in [port, port + 1] {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
    for disk in ["state-a.img", "state-b.img"] {
        assert!(folder.join(disk).is_file(), "{disk}");
    }
}

#[test]
fn cluster_is_refused_before_anything_starts() {
    let (temp, port) = (tempfile::tempdir().unwrap(), two_free_ports());
    let refused = |options: RunOptions| {
        let error = run(options).unwrap_err().to_string();
        assert!(!temp.path().join("evidence").exists(), "{error}");
        error
    };
    let listener = TcpListener::bind(("127.0.0.1", port + 1)).unwrap();
    let taken = refused(two(temp.path().into(), port));
    assert!(
        taken.contains(&format!("port {} is in use by", port + 1)) && taken.contains("--port"),
        "{taken}"
    );
    drop(listener);
    let large = RunOptions {
        memory: Some(1 << 30),
        ..two(temp.path().into(), port)
    };
    let large = refused(large);
    assert!(
        large.contains("no memory for 2 machines of 1073741824 MiB"),
        "{large}"
    );
    assert!(
        large.contains("of memory are needed, and this host has"),
        "{large}"
    );
}

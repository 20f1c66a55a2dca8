//! Tests of the machine layer with a real QEMU and a small guest.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod balloon;
mod cluster;
mod docker;
mod fork;
mod guest;
mod idle;
mod interactive;
mod kill;
mod network;
mod outside;
mod plugged;
mod power;
mod reset;
mod restarts;

use std::path::Path;
use std::time::Duration;

use machine::profile::{Profile, load};
use machine::{GuestFailure, Login, Machine, MachineError, MachineSpec, Ssh};
use regex::Regex;
use runner::evidence::Evidence;

/// Long enough for any host; the awaited events come sooner.
const LONG: Duration = Duration::from_secs(180);

fn profile() -> Profile {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../qemu-profiles/q35.yaml")).unwrap()
}

fn spec(guest: &guest::Guest, args: &[&str]) -> MachineSpec {
    let profile = profile().resolve(&guest.kernel).unwrap();
    MachineSpec {
        kernel_args: args.iter().map(|&arg| arg.to_owned()).collect(),
        memory: Some(256),
        ..MachineSpec::new(profile, &guest.kernel, Some(&guest.initrd))
    }
}

/// A timeout for operations without their own deadline, so that no test hangs.
async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, work).await.unwrap()
}

/// The folder of a test's machine. It is kept if the test fails.
struct Bench {
    evidence: Evidence,
}

fn bench() -> Bench {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("evidence");
    Bench {
        evidence: Evidence::begin(&parent, "machine").unwrap(),
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let folder = self.evidence.folder();
        if std::thread::panicking() {
            eprintln!("evidence: {}", folder.display());
        } else {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

fn rancher(password: &str) -> Login {
    Login::Password {
        user: "rancher".into(),
        password: password.into(),
    }
}

/// Waits until a machine is ready, and logs in.
async fn ready(machine: &Machine) -> Ssh {
    let login = rancher(guest::PASSWORD);
    machine.wait_ready(LONG).await.unwrap();
    machine.ssh(&login, LONG).await.unwrap()
}

/// The output of a command that must succeed.
async fn printed(ssh: &Ssh, command: &str) -> String {
    let output = ssh.run(command, LONG).await.unwrap();
    assert_eq!(output.exit, Some(0), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn machine_drives_a_guest_over_all_its_channels() {
    let guest = guest::get();
    let bench = bench();
    let spec = MachineSpec {
        user_data: Some("#cloud-config\n".into()),
        ..spec(&guest, &[])
    };
    let machine = Machine::start(spec, bench.evidence.logs()).await.unwrap();
    let folder = machine.folder().to_owned();
    machine.wait_ready(LONG).await.unwrap();
    assert_eq!(machine.boot_events().first().unwrap().stage, "init");

    let ssh = machine
        .fail_fast(machine.ssh(&rancher(guest::PASSWORD), LONG))
        .await
        .unwrap();
    let output = ssh
        .run("id -un; echo bad >&2; cat; exit 7", LONG)
        .await
        .unwrap();
    assert_eq!(output.exit, Some(7));
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"rancher\n"[..], &b"bad\n"[..])
    );
    let killed = ssh.run("kill -9 $$", LONG).await.unwrap();
    assert_eq!(
        (killed.exit, killed.signal.as_deref()),
        (None, Some("KILL"))
    );

    let late = ssh
        .run("echo so far; sleep 1000", Duration::from_secs(2))
        .await
        .unwrap_err();
    assert!(late.to_string().contains("so far"), "{late}");
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    ssh.upload(&big, "/tmp/it's big", 0o640).await.unwrap();
    assert_eq!(ssh.download("/tmp/it's big").await.unwrap(), big);
    assert!(
        ssh.download("/tmp/none")
            .await
            .unwrap_err()
            .to_string()
            .contains("none")
    );

    let refused = machine.ssh(&rancher("wrong"), LONG).await.err().unwrap();
    assert!(
        matches!(refused, MachineError::Refused { ref user } if user == "rancher"),
        "{refused}"
    );

    assert!(
        !machine
            .serial()
            .login("rancher", "wrong", LONG)
            .await
            .unwrap()
    );
    assert!(
        machine
            .serial()
            .login("rancher", guest::PASSWORD, LONG)
            .await
            .unwrap()
    );
    machine.serial().send(b"echo $((6 * 7))\r").await.unwrap();
    machine
        .serial()
        .expect(&Regex::new(r"(?m)^42\r$").unwrap(), LONG)
        .await
        .unwrap();

    machine.expect_reboot().await;
    machine.reset().await.unwrap();
    machine.wait_ready(LONG).await.unwrap();
    let again = machine
        .fail_fast(machine.ssh(&rancher(guest::PASSWORD), LONG))
        .await
        .unwrap();
    assert_eq!(again.run("true", LONG).await.unwrap().exit, Some(0));

    let picture = bench.evidence.file("screen.png");
    machine.screenshot(&picture).await.unwrap();
    machine.stop().await;
    drop(machine);
    assert!(!folder.exists());
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
    for name in [
        "serial.log",
        "events.jsonl",
        "qmp.log",
        "qemu.sh",
        "config.img",
    ] {
        assert!(
            bench.evidence.file(name).metadata().unwrap().len() > 0,
            "{name}"
        );
    }
}

#[tokio::test]
async fn fail_fast_ends_an_operation_at_a_panic() {
    let guest = guest::get();
    let bench = bench();
    let machine = Machine::start(spec(&guest, &["test.panic"]), bench.evidence.logs())
        .await
        .unwrap();
    let never = async { std::future::pending::<Result<(), MachineError>>().await };
    let error = within(machine.fail_fast(never)).await.unwrap_err();
    assert!(
        matches!(&error, MachineError::Guest(GuestFailure::Panic { line, .. }) if line.contains("sysrq")),
        "{error}"
    );
    assert!(
        machine.serial().text().contains("Call Trace"),
        "the trace is kept"
    );
}

#[tokio::test]
async fn guest_without_boot_events_is_ready_when_ssh_answers() {
    let guest = guest::get();
    let bench = bench();
    let machine = Machine::start(spec(&guest, &["test.silent"]), bench.evidence.logs())
        .await
        .unwrap();
    machine.wait_ready(LONG).await.unwrap();
    assert!(machine.boot_events().is_empty());
}

#[tokio::test]
async fn start_fails_immediately_with_a_reason() {
    let guest = guest::get();
    let bench = bench();
    let start = async |spec| {
        Machine::start(spec, bench.evidence.logs())
            .await
            .err()
            .unwrap()
            .to_string()
    };

    let small = start(MachineSpec {
        memory: Some(64),
        ..spec(&guest, &[])
    })
    .await;
    assert!(small.contains("64 MiB of memory cannot hold"), "{small}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = start(MachineSpec {
        ssh_port: Some(port),
        ..spec(&guest, &[])
    })
    .await;
    assert!(
        taken.contains(&format!("port {port} is in use by")),
        "{taken}"
    );

    let half = bench.evidence.file("half");
    let initrd = std::fs::read(&guest.initrd).unwrap();
    std::fs::write(&half, &initrd[..initrd.len() / 2]).unwrap();
    let cut = start(MachineSpec {
        initrd: Some(half),
        ..spec(&guest, &[])
    })
    .await;
    assert!(cut.contains("truncated"), "{cut}");
}

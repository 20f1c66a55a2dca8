//! `harness doctor`: checks everything the harness may need on this host.

use std::path::Path;
use std::time::Duration;

use base::command;
use host::{HostSpeed, disk_space, kvm, port, qemu};
use machine::profile;

/// The port of `harness run`.
const RUN_PORT: u16 = 2222;
/// The disk space that a build needs, in MiB.
const DISK_MIB: u64 = 6 * 1024;
/// The memory of two machines and their QEMU processes, in MiB.
const MEMORY_MIB: u64 = 3 * 1024;

/// One finding of `harness doctor`.
#[derive(Debug)]
pub struct Finding {
    /// What was checked.
    pub subject: String,
    /// Whether it is good, degraded (works, but slower or with fewer features), or missing.
    pub state: State,
    /// What was found.
    pub seen: String,
    /// What to install or to do.
    pub hint: Option<String>,
}

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Available.
    Good,
    /// Works, but slower or with fewer features.
    Degraded,
    /// Required, but not available.
    Missing,
}

impl Finding {
    fn new(subject: &str, state: State, seen: impl Into<String>, hint: &str) -> Self {
        let hint = (state != State::Good && !hint.is_empty()).then(|| hint.to_owned());
        Self {
            subject: subject.into(),
            state,
            seen: seen.into(),
            hint,
        }
    }
}

/// Checks everything. If `kernel` is given, booting it proves that KVM works.
pub fn examine(kernel: Option<&Path>) -> Vec<Finding> {
    let qemu = qemu::find();
    let mut findings = vec![
        emulator(&qemu),
        kvm_proof(qemu.as_ref().ok(), kernel),
        speed(),
    ];
    findings.extend(TOOLS.iter().map(tool));
    findings.extend([uefi(), disk(), memory(), run_port()]);
    findings
}

fn emulator(qemu: &Result<qemu::Qemu, String>) -> Finding {
    match qemu {
        Ok(qemu) => {
            let seen = format!("{} {}", qemu.path.display(), qemu.version);
            Finding::new("QEMU", State::Good, seen, "")
        }
        Err(why) => Finding::new("QEMU", State::Missing, why, qemu::HINT),
    }
}

fn kvm_proof(qemu: Option<&qemu::Qemu>, kernel: Option<&Path>) -> Finding {
    const HINT: &str = "machines are emulated, about ten times slower; use a host with KVM";
    const UNPROVEN: &str = "run `harness build` first: a kernel is needed to prove KVM";
    let proof = match (qemu, kernel) {
        (Some(qemu), Some(kernel)) => {
            kvm::prove(qemu, kernel).map(|()| "proven by booting a kernel")
        }
        _ => match kvm::device() {
            Ok(()) => {
                return Finding::new("KVM", State::Degraded, "available, not proven", UNPROVEN);
            }
            Err(why) => Err(why),
        },
    };
    match proof {
        Ok(seen) => Finding::new("KVM", State::Good, seen, ""),
        Err(why) => Finding::new("KVM", State::Degraded, why, HINT),
    }
}

fn speed() -> Finding {
    let scale = HostSpeed::of_host();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let ten = scale.apply(Duration::from_secs(10)).as_secs_f64();
    let seen = format!("{cpus} processors; a timeout of 10 s becomes {ten:.0} s on this host");
    let state = if scale.factor() > 2.0 {
        State::Degraded
    } else {
        State::Good
    };
    Finding::new("speed", state, seen, "machines will be slow")
}

/// A program, its purpose, its package on Debian and Ubuntu, and the state if it is not installed.
struct Tool(&'static str, &'static str, &'static str, State);

const TOOLS: [Tool; 11] = [
    Tool(
        "qemu-img",
        "creates overlays of disk images",
        "qemu-utils",
        State::Missing,
    ),
    Tool("mke2fs", "formats state disks", "e2fsprogs", State::Missing),
    Tool("sfdisk", "partitions disks", "fdisk", State::Degraded),
    Tool(
        "mmdebstrap",
        "downloads the packages of the OS",
        "mmdebstrap",
        State::Missing,
    ),
    Tool(
        "mksquashfs",
        "packs the root file system of the OS",
        "squashfs-tools",
        State::Missing,
    ),
    Tool(
        "docker-registry",
        "serves images to the machines",
        "docker-registry",
        State::Degraded,
    ),
    Tool(
        "socat",
        "connects the machines to the registry",
        "socat",
        State::Degraded,
    ),
    Tool(
        "xorriso",
        "creates ISO 9660 config drives",
        "xorriso",
        State::Degraded,
    ),
    Tool(
        "bwrap",
        "isolates the client of `client` steps",
        "bubblewrap",
        State::Degraded,
    ),
    Tool("ssh", "`harness ssh`", "openssh-client", State::Degraded),
    Tool(
        "cargo-nextest",
        "an alternative test runner",
        "cargo install cargo-nextest",
        State::Good,
    ),
];

fn tool(Tool(program, purpose, package, without): &Tool) -> Finding {
    let hint = if package.contains(' ') {
        (*package).to_owned()
    } else {
        format!("apt install {package}")
    };
    match command::find(program) {
        Some(path) => Finding::new(program, State::Good, path.display().to_string(), ""),
        None => Finding::new(
            program,
            *without,
            format!("not installed ({purpose})"),
            &hint,
        ),
    }
}

fn uefi() -> Finding {
    match profile::ovmf() {
        Some(_) => Finding::new("UEFI firmware", State::Good, "ovmf", ""),
        None => {
            let seen = "not installed (only profiles with `firmware: ovmf` need it)";
            Finding::new("UEFI firmware", State::Degraded, seen, "apt install ovmf")
        }
    }
}

fn disk() -> Finding {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let free = disk_space::free(&here).unwrap_or(0) >> 20;
    let state = if free < DISK_MIB {
        State::Degraded
    } else {
        State::Good
    };
    let hint = format!("a build needs about {DISK_MIB} MiB");
    Finding::new(
        "disk",
        state,
        format!("{free} MiB free in {}", here.display()),
        &hint,
    )
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = available_mib(&text);
    let state = if free < MEMORY_MIB {
        State::Degraded
    } else {
        State::Good
    };
    let hint = "run one trial at a time with --jobs 1";
    Finding::new("memory", state, format!("{free} MiB available"), hint)
}

fn available_mib(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn run_port() -> Finding {
    match port::check_free(RUN_PORT) {
        Ok(()) => Finding::new("port 2222", State::Good, "free", ""),
        Err(why) => Finding::new(
            "port 2222",
            State::Degraded,
            why,
            "choose another port with `harness run --port`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examine_gives_a_hint_for_every_problem() {
        let findings = examine(None);
        assert!(findings.len() > 10);
        for finding in findings {
            assert!(
                finding.state == State::Good || finding.hint.is_some(),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn available_mib_reads_meminfo() {
        assert_eq!(
            available_mib("MemTotal: 1 kB\nMemAvailable:    4096000 kB\n"),
            4000
        );
        assert_eq!(available_mib(""), 0);
    }
}

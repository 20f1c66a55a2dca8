//! `harness doctor`: a look at everything the harness may need.

use std::path::Path;
use std::time::Duration;

use base::command;
use host::{HostSpeed, disk_space, kvm, port, qemu};
use machine::profile;

/// The port of `harness run`.
const RUN_PORT: u16 = 2222;
/// Building takes about this much room, in MiB.
const ROOM_MIB: u64 = 6 * 1024;
/// Two machines at a time and their QEMUs, in MiB.
const MEMORY_MIB: u64 = 3 * 1024;

/// One line of `harness doctor`.
#[derive(Debug)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// Good, degraded (works, slower or less), or missing.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to install or do.
    pub hint: Option<String>,
}

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As wanted.
    Good,
    /// Works, with something less.
    Degraded,
    /// Needed and not there.
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

/// Looks at everything; `kernel` is used to prove KVM when given.
pub fn examine(kernel: Option<&Path>) -> Vec<Finding> {
    let qemu = qemu::find();
    let mut findings = vec![
        emulator(&qemu),
        kvm_proof(qemu.as_ref().ok(), kernel),
        speed(),
    ];
    findings.extend(TOOLS.iter().map(tool));
    findings.extend([uefi(), room(), memory(), run_port()]);
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
    const HINT: &str =
        "machines are emulated, about ten times slower; use a host with KVM for more";
    const LATER: &str = "build first (`harness build`): a kernel is needed to prove it";
    let proof = match (qemu, kernel) {
        (Some(qemu), Some(kernel)) => {
            kvm::prove(qemu, kernel).map(|()| "proven: it booted a kernel")
        }
        _ => match kvm::device() {
            Ok(()) => return Finding::new("KVM", State::Degraded, "there, but not proven", LATER),
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
    let seen = format!("{cpus} processors; a deadline of 10 s is {ten:.0} s here");
    let state = if scale.factor() > 2.0 {
        State::Degraded
    } else {
        State::Good
    };
    Finding::new("speed", state, seen, "machines will be slow")
}

/// A program, what it is for, and its package on Debian and Ubuntu.
struct Tool(&'static str, &'static str, &'static str, State);

const TOOLS: [Tool; 11] = [
    Tool(
        "qemu-img",
        "layers above disk images",
        "qemu-utils",
        State::Missing,
    ),
    Tool("mke2fs", "formats state disks", "e2fsprogs", State::Missing),
    Tool("sfdisk", "divides disks", "fdisk", State::Degraded),
    Tool(
        "mmdebstrap",
        "fetches what the OS is made of",
        "mmdebstrap",
        State::Missing,
    ),
    Tool(
        "mksquashfs",
        "packs the root of the OS",
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
        "leads their network to that",
        "socat",
        State::Degraded,
    ),
    Tool(
        "xorriso",
        "makes config drives of ISO 9660",
        "xorriso",
        State::Degraded,
    ),
    Tool(
        "bwrap",
        "keeps a person's computer apart from this one (steps `client`)",
        "bubblewrap",
        State::Degraded,
    ),
    Tool("ssh", "`harness ssh`", "openssh-client", State::Degraded),
    Tool(
        "cargo-nextest",
        "another way to run the tests",
        "cargo install cargo-nextest",
        State::Good,
    ),
];

fn tool(Tool(program, purpose, package, without): &Tool) -> Finding {
    let hint = match package.contains(' ') {
        true => (*package).to_owned(),
        false => format!("apt install {package}"),
    };
    match command::find(program) {
        Some(path) => Finding::new(program, State::Good, path.display().to_string(), ""),
        None => Finding::new(program, *without, format!("not there ({purpose})"), &hint),
    }
}

fn uefi() -> Finding {
    match profile::ovmf() {
        Some(_) => Finding::new("UEFI firmware", State::Good, "ovmf", ""),
        None => {
            let seen = "not there (only for profiles with `firmware: ovmf`)";
            Finding::new("UEFI firmware", State::Degraded, seen, "apt install ovmf")
        }
    }
}

fn room() -> Finding {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let free = disk_space::free(&here).unwrap_or(0) >> 20;
    let state = if free < ROOM_MIB {
        State::Degraded
    } else {
        State::Good
    };
    let hint = format!("a build needs about {ROOM_MIB} MiB");
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
    let hint = "run one trial at a time: --jobs 1";
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
            "`harness run --port` takes another",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_looked_at_and_what_is_amiss_has_a_hint() {
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
    fn available_memory_is_read() {
        assert_eq!(
            available_mib("MemTotal: 1 kB\nMemAvailable:    4096000 kB\n"),
            4000
        );
        assert_eq!(available_mib(""), 0);
    }
}

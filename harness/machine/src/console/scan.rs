//! Console lines that mean a guest failure and end a trial.

use crate::error::GuestFailure;
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use yaml::{ConsoleRules, LinePattern};

/// A pattern of lines that a healthy machine never prints.
struct Pattern {
    /// The name of the failure, for messages.
    kind: &'static str,
    /// Matched anywhere in a line: a prompt may precede a kernel message.
    regex: &'static str,
}

/// The kind of a panic.
const PANIC: &str = "kernel panic";

/// Messages of the kernel (up to Linux 6.17), systemd (up to 258), initramfs-tools and dracut.
const PATTERNS: [Pattern; 17] = [
    // The system has halted.
    Pattern {
        kind: PANIC,
        regex: r"Kernel panic - not syncing|end Kernel panic",
    },
    // A driver or the kernel accessed invalid memory, or executed an instruction that faults.
    Pattern {
        kind: "kernel oops",
        regex: r"\bOops: |Unable to handle kernel |general protection fault, |\b(divide error|invalid opcode|stack segment|double fault): \d{4} \[#\d+\]",
    },
    // A failed kernel assertion, a bad page, a soft lockup, KASAN, KFENCE, KCSAN. "kernel BUG at" has
    // no colon.
    Pattern {
        kind: "kernel bug",
        regex: r"\bBUG: |\bkernel BUG at |\bUBSAN: |detected hard LOCKUP|refcount_t: (underflow|saturated|addition)|\blist_(add|del) corruption",
    },
    // `WARN_ON` (without the processor since Linux 6.17), and reports of lockdep.
    Pattern {
        kind: "kernel warning",
        regex: r"\bWARNING: (CPU: \d+ PID: |[\w./-]+:\d+ at |possible |suspicious RCU|inconsistent lock|bad unlock|held lock freed|lock held when)|\bsysfs: cannot create duplicate",
    },
    // A processor that is stuck: `kernel/rcu/tree_stall.h`.
    Pattern {
        kind: "RCU stall",
        regex: r"\brcu: INFO: |\bself-detected stall on CPU|detected (expedited )?stalls on CPUs",
    },
    // A task that has waited in the kernel for minutes, usually for a disk that does not answer.
    Pattern {
        kind: "hung task",
        regex: r"INFO: task .{1,64} blocked for more than \d+ seconds",
    },
    // The whole machine is out of memory. A container that exceeds its own limit causes
    // "Memory cgroup out of memory", with a lower-case o; that is no guest failure.
    Pattern {
        kind: "out of memory",
        regex: r"\bOut of memory: |Out of memory and no killable",
    },
    // A disk or its controller. A drive without a medium (`fd0`, `sr0`) fails normally.
    Pattern {
        kind: "I/O error",
        regex: r"(I/O error|critical (medium|target|nexus) error),? (on )?dev(ice)? ([a-eg-rt-z]|f[a-ce-z]|s[a-qs-z])|\bata\d+(\.\d+)?: failed command: |\bnvme\d* ?\S*: (I/O .*timeout|controller is down)",
    },
    // A damaged file system, or a failed write to its journal.
    Pattern {
        kind: "file system error",
        regex: r"\bEXT4-fs error |\bEXT4-fs \(\S+\): (Remounting filesystem read-only|error|failed to convert)|\bJBD2: .*(I/O error|[Dd]etected)|\bAborting journal |\bXFS \(\S+\): .*([Cc]orrupt|[Mm]etadata I/O error|[Ss]hutting down)|\bBTRFS( critical| error|: error)|\bF2FS-fs \(\S+\): .*[Cc]orrupt|\bFAT-fs \(\S+\): error|\bSQUASHFS error",
    },
    // A program that crashed: `arch/x86/mm/fault.c`, `arch/x86/kernel/traps.c`.
    Pattern {
        kind: "crashed program",
        regex: r"\S+\[\d+\]: segfault at [0-9a-f]+ ip |\btraps: \S+.*(general protection|trap |fault)",
    },
    // The kernel cannot mount or unpack what it should boot.
    Pattern {
        kind: "broken boot",
        regex: r"VFS: (Unable to mount root fs|Cannot open root device)|Initramfs unpacking failed|No working init found",
    },
    // A rescue shell instead of the system: initramfs-tools, dracut.
    Pattern {
        kind: "broken boot",
        regex: r"Gave up waiting for (root|suspend)|Dropping to a shell!|dracut-initqueue.*(timeout|[Cc]ould not boot)|Entering emergency mode",
    },
    Pattern {
        kind: "emergency mode",
        regex: r"You are in (emergency|rescue) mode|Welcome to (emergency|rescue) mode|Cannot open access to console, the root account is locked",
    },
    // systemd, on the console or through the kernel log. The brackets may contain colour codes.
    Pattern {
        kind: "failed unit",
        regex: r"(FAILED(\x1b\[[0-9;]*m)*\]|systemd\[1\]:) +(\S+: )?Failed to (start|mount|listen|activate|isolate) ",
    },
    Pattern {
        kind: "failed unit",
        regex: r"(DEPEND(\x1b\[[0-9;]*m)*\]|systemd\[1\]:) +(\x1b\[[0-9;]*m)*Dependency failed for ",
    },
    Pattern {
        kind: "failed unit",
        regex: r"systemd\[1\]: .*Failed with result '|systemd\[1\]: Timed out waiting for device|TIME(\x1b\[[0-9;]*m)*\] Timed out waiting for device",
    },
    Pattern {
        kind: "failed unit",
        regex: r"systemd\[1\]: (Freezing execution|Caught <\w+>)",
    },
];

/// All built-in patterns as one set, because most lines match none.
static BUILT_IN: LazyLock<RegexSet> = LazyLock::new(|| {
    let patterns = PATTERNS.iter().map(|pattern| pattern.regex);
    RegexSet::new(patterns).unwrap_or_default()
});

/// The rules for console lines: additional patterns that fail a trial, and allowed patterns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    fail: Vec<Regex>,
    allow: Vec<Regex>,
}

impl Rules {
    /// Combines the rules of a profile and of a scenario.
    pub(crate) fn of(all: &[&ConsoleRules]) -> Self {
        let regexes = |list: fn(&ConsoleRules) -> &Vec<LinePattern>| {
            let patterns = all.iter().flat_map(|rules| list(rules));
            patterns.map(|pattern| pattern.regex().clone()).collect()
        };
        Self {
            fail: regexes(|rules| &rules.fail),
            allow: regexes(|rules| &rules.allow),
        }
    }

    /// Checks a console line; the failure that it means, if any.
    pub(crate) fn judge(&self, line: &str) -> Option<GuestFailure> {
        let line = line.trim();
        let built_in = || {
            BUILT_IN
                .matches(line)
                .iter()
                .next()
                .map(|at| PATTERNS[at].kind)
        };
        let is_match = |regex: &Regex| regex.is_match(line);
        let added = || self.fail.iter().any(is_match).then_some("forbidden line");
        let kind = built_in().or_else(added)?;
        if self.allow.iter().any(is_match) {
            return None;
        }
        let line = line.to_owned();
        Some(if kind == PANIC {
            GuestFailure::Panic { kind, line }
        } else {
            GuestFailure::Console { kind, line }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(BUILT_IN.len(), PATTERNS.len());
    }

    fn text(failure: GuestFailure) -> String {
        match failure {
            GuestFailure::Console { kind, line } | GuestFailure::Panic { kind, line } => {
                format!("{kind}: {line}")
            }
            other => panic!("{other}"),
        }
    }

    fn judge(line: &str) -> Option<String> {
        Rules::default().judge(line).map(text)
    }

    #[test]
    fn only_a_panic_is_fatal() {
        let fatal = |line| Rules::default().judge(line).unwrap().is_fatal();
        assert!(fatal("[ 1.2] Kernel panic - not syncing: sysrq"));
        assert!(!fatal("[ 3.1] Oops: 0000 [#1] PREEMPT SMP NOPTI"));
    }

    #[test]
    fn profile_and_scenario_add_and_allow_lines() {
        let rules = |yaml| serde_yaml::from_str::<ConsoleRules>(yaml).unwrap();
        let profile = rules("{fail: ['^kettle: dry'], allow: ['I/O error, dev vdc']}");
        let scenario = rules("{fail: [cup broke], allow: [vdd]}");
        let rules = Rules::of(&[&profile, &scenario]);
        let judge = |line| rules.judge(line).map(text);
        assert_eq!(
            judge("kettle: dry\r\n").as_deref(),
            Some("forbidden line: kettle: dry")
        );
        assert!(judge("the cup broke").is_some());
        assert_eq!(judge("[ 3.1] I/O error, dev vdc, sector 0"), None);
        assert_eq!(judge("[ 3.1] I/O error, dev vdd, sector 0"), None);
        assert!(judge("[ 3.1] I/O error, dev vda, sector 0").is_some());
    }

    #[test]
    fn failure_lines_match_with_their_kind() {
        for (line, kind) in [
            (
                "[    1.2] Kernel panic - not syncing: Attempted to kill init!",
                "kernel panic",
            ),
            (
                "rancher login: [   99.1] Kernel panic - not syncing: sysrq",
                "kernel panic",
            ),
            ("[ 3.1] Oops: 0000 [#1] PREEMPT SMP NOPTI", "kernel oops"),
            (
                "[ 3.1] BUG: kernel NULL pointer dereference, address: 00",
                "kernel bug",
            ),
            (
                "[ 3.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
                "kernel bug",
            ),
            ("[ 3.1] kernel BUG at mm/slub.c:305!", "kernel bug"),
            (
                "[ 242.1] INFO: task dockerd:1 blocked for more than 120 seconds.",
                "hung task",
            ),
            (
                "[ 9.9] Out of memory: Killed process 77 (sh) total-vm:1kB",
                "out of memory",
            ),
            (
                "[ 3.1] BUG: KASAN: slab-out-of-bounds in f+0x1/0x2",
                "kernel bug",
            ),
            (
                "[ 3.1] BUG: KFENCE: use-after-free read in f+0x1",
                "kernel bug",
            ),
            (
                "[ 3.1] UBSAN: array-index-out-of-bounds in a.c:1:2",
                "kernel bug",
            ),
            (
                "[ 3.1] WARNING: CPU: 0 PID: 1 at mm/slub.c:3 f+0x1",
                "kernel warning",
            ),
            (
                "[ 3.1] WARNING: mm/slub.c:305 at f+0x1/0x2, CPU#1: sh/7",
                "kernel warning",
            ),
            (
                "[ 3.1] WARNING: possible circular locking dependency detected",
                "kernel warning",
            ),
            (
                "[ 21.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
                "RCU stall",
            ),
            (
                "[ 3.1] Oops: general protection fault, probably for",
                "kernel oops",
            ),
            (
                "[ 3.1] I/O error, dev vda, sector 8 op 0x0:(READ) flags 0x0",
                "I/O error",
            ),
            (
                "[ 3.1] Buffer I/O error on dev sda1, logical block 0, async page read",
                "I/O error",
            ),
            (
                "[ 3.1] critical medium error, dev sda, sector 1",
                "I/O error",
            ),
            (
                "[ 3.1] EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm ls",
                "file system error",
            ),
            (
                "[ 3.1] EXT4-fs (vda): Remounting filesystem read-only",
                "file system error",
            ),
            (
                "[ 3.1] XFS (vda1): Metadata corruption detected at xfs_x",
                "file system error",
            ),
            (
                "[ 3.1] BTRFS error (device vda): bad tree block start",
                "file system error",
            ),
            (
                "[ 9.1] app[77]: segfault at 0 ip 00007f1 sp 00007ff error 4 in libc",
                "crashed program",
            ),
            (
                "[ 9.1] traps: app[77] general protection fault ip:1 sp:2 error:0",
                "crashed program",
            ),
            (
                "[ 1.1] VFS: Unable to mount root fs on unknown-block(0,0)",
                "broken boot",
            ),
            (
                "ALERT!  UUID=1 does not exist.  Dropping to a shell!",
                "broken boot",
            ),
            (
                "You are in emergency mode. After logging in, type \"journalctl -xb\"",
                "emergency mode",
            ),
            (
                "[\x1b[0;1;31mFAILED\x1b[0m] Failed to start tea.service - Tea.",
                "failed unit",
            ),
            ("[FAILED] Failed to mount /data.", "failed unit"),
            (
                "[DEPEND] Dependency failed for local-fs.target",
                "failed unit",
            ),
            (
                "[ 5.1] systemd[1]: Failed to start tea.service - Tea.",
                "failed unit",
            ),
            (
                "[ 5.1] systemd[1]: tea.service: Failed with result 'exit-code'.",
                "failed unit",
            ),
        ] {
            assert!(
                judge(line).is_some_and(|failure| failure.starts_with(kind)),
                "{line}"
            );
        }
    }

    #[test]
    fn healthy_lines_do_not_match() {
        for line in [
            "[    0.0] Kernel command line: panic=-1 oops=panic",
            "[ 9.9] Memory cgroup out of memory: Killed process 77 (sh)",
            "DEBUG: all is well",
            "[ 0.1] x86/fpu: Supporting XSAVE feature",
            "[ 0.1] tsc: Unable to calibrate against PIT",
            "[ 0.1] rcu: Hierarchical RCU implementation.",
            "[ 2.0] I/O error, dev fd0, sector 0 op 0x0:(READ)",
            "[ 2.0] I/O error, dev sr0, sector 0 op 0x0:(READ)",
            "[ 2.0] EXT4-fs (vda): mounted filesystem with ordered data mode",
            "[ 2.0] EXT4-fs (vda): recovery complete",
            "rancher: syslog failed: exited with status 1; the boot goes on",
            "dockerd: Failed to start containerd: later",
            "systemd[1]: Started tea.service - Tea.",
            "WARNING: bridge-nf-call-iptables is disabled",
        ] {
            assert_eq!(judge(line), None, "{line}");
        }
    }
}

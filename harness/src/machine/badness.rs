//! What a console can say that ends a trial whatever it was doing.

use std::sync::LazyLock;

use regex::Regex;

/// A kind of line that a healthy machine never prints.
struct Pattern {
    /// What it is, for people.
    kind: &'static str,
    /// How it is recognized, anywhere in a line: a prompt may stand before a kernel message.
    regex: &'static str,
}

/// The kind of a panic.
const PANIC: &str = "kernel panic";

const PATTERNS: [Pattern; 6] = [
    // Nothing runs any more.
    Pattern {
        kind: PANIC,
        regex: r"Kernel panic - not syncing",
    },
    // A driver or the kernel dereferenced something it must not.
    Pattern {
        kind: "kernel oops",
        regex: r"\bOops: |Unable to handle kernel |general protection fault, ",
    },
    // An assertion of the kernel, a bad page, a soft lockup; "kernel BUG at" has no colon.
    Pattern {
        kind: "kernel bug",
        regex: r"\bBUG: |\bkernel BUG at ",
    },
    // A task that waits in the kernel for minutes, usually for a disk that does not answer.
    Pattern {
        kind: "hung task",
        regex: r"INFO: task .{1,64} blocked for more than \d+ seconds",
    },
    // The whole machine ran out of memory. A container over its own limit says
    // "Memory cgroup out of memory", with a small o, and is the container's affair.
    Pattern {
        kind: "out of memory",
        regex: r"\bOut of memory: |Out of memory and no killable",
    },
    // The kernel cannot go on with what it was given to boot.
    Pattern {
        kind: "broken boot",
        regex: r"VFS: Unable to mount root fs|Initramfs unpacking failed",
    },
];

static COMPILED: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let compile = |p: &Pattern| Some((p.kind, Regex::new(p.regex).ok()?));
    PATTERNS.iter().filter_map(compile).collect()
});

/// What a line of the console means, if it is bad: `KIND: LINE`.
pub fn judge(line: &str) -> Option<String> {
    let line = line.trim();
    let (kind, _) = COMPILED.iter().find(|(_, regex)| regex.is_match(line))?;
    Some(format!("{kind}: {line}"))
}

/// Whether what [`judge`] said is that the kernel panicked.
pub fn is_panic(said: &str) -> bool {
    said.starts_with(PANIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(COMPILED.len(), PATTERNS.len());
    }

    #[test]
    fn bad_lines_are_found() {
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
        ] {
            assert!(
                judge(line).is_some_and(|said| said.starts_with(kind)),
                "{line}"
            );
        }
    }

    #[test]
    fn healthy_lines_are_not() {
        for line in [
            "[    0.0] Kernel command line: panic=-1 oops=panic",
            "[ 9.9] Memory cgroup out of memory: Killed process 77 (sh)",
            "DEBUG: all is well",
            "[ 0.1] x86/fpu: Supporting XSAVE feature",
        ] {
            assert_eq!(judge(line), None, "{line}");
        }
    }
}

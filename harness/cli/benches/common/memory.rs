//! The private memory of a process.

use super::Result;

/// The memory of one process in MB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Private dirty pages, including swapped ones: copied pages of the guest's memory,
    /// translated code, and QEMU's own memory.
    pub private: f64,
    /// Clean pages of files that only this process maps; the host can drop them at any time.
    pub clean: f64,
}

impl Memory {
    /// Reads the current values of the kernel.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let file = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let field = |name: &str| kibibytes(&text, name).ok_or_else(|| format!("{file}: no {name}"));
        Ok(Self {
            private: megabytes(field("Private_Dirty")? + field("Swap")?),
            clean: megabytes(field("Private_Clean")?),
        })
    }
}

/// Parses a line like `Private_Dirty:     58000 kB`.
fn kibibytes(text: &str, name: &str) -> Option<f64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn megabytes(kibibytes: f64) -> f64 {
    kibibytes * 1024.0 / 1e6
}

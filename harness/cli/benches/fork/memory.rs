//! What a process has of memory to itself.

use crate::common::Result;

/// Of one process, in MB.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Pages that it wrote and nobody else has, wherever they are now: those of the guest's memory
    /// that were copied, translated code, QEMU's own.
    pub private: f64,
    /// Pages of files that it alone reads now; the host can drop them at any time.
    pub clean: f64,
}

impl Memory {
    /// As the kernel counts it now.
    pub fn of(pid: u32) -> Result<Self> {
        let file = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let field = |name: &str| kibibytes(&text, name).ok_or_else(|| format!("{file}: no {name}"));
        Ok(Self {
            private: megabytes(field("Private_Dirty")? + field("Swap")?),
            clean: megabytes(field("Private_Clean")?),
        })
    }
}

/// From `Private_Dirty:     58000 kB`.
fn kibibytes(text: &str, name: &str) -> Option<f64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn megabytes(kibibytes: f64) -> f64 {
    kibibytes * 1024.0 / 1e6
}

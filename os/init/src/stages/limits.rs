//! Limits of all processes: those that Docker's packages for systemd set, inherited from here.

use nix::sys::resource::{RLIM_INFINITY, Resource};

use super::Boot;
use crate::sys::Result;

/// What a process may open unless it asks for more: programs that close every descriptor that they
/// could have take minutes with a million of them.
const FILES: u64 = 1024;

/// What it may ask for; `fs.nr_open` of the kernel. Programs in Go, the engines and containerd among
/// them, ask for it when they start, and start others with the value that they found.
const MOST_FILES: u64 = 1 << 20;

pub(super) fn limits(boot: &mut Boot<'_>) -> Result<()> {
    let all = [
        (Resource::RLIMIT_NOFILE, FILES, MOST_FILES),
        // `LimitNPROC=infinity`: the kernel's value depends on its memory, 3,900 with 1 GiB, and counts
        // all containers of a user.
        (Resource::RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY),
        // `LimitCORE=infinity`; the console sets its own.
        (Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY),
    ];
    for (resource, soft, hard) in all {
        boot.sys.set_limit(resource, soft, hard)?;
    }
    Ok(())
}

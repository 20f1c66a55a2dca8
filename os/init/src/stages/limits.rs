//! Resource limits, which all processes inherit: those of Docker's systemd units.

use nix::sys::resource::{RLIM_INFINITY, Resource};
use sys::Result;

use crate::boot::Boot;

/// The soft limit of open files: programs that close every possible descriptor take minutes with a limit
/// of a million.
const SOFT_FILES: u64 = 1024;

/// The hard limit of open files, which is the kernel's `fs.nr_open`. Programs in Go, such as the engines
/// and containerd, raise their soft limit to it when they start, and start other programs with the
/// original soft limit.
const HARD_FILES: u64 = 1 << 20;

/// Sets the limits of this process.
pub(crate) fn limits(boot: &mut Boot<'_>) -> Result<()> {
    let all = [
        (Resource::RLIMIT_NOFILE, SOFT_FILES, HARD_FILES),
        // `LimitNPROC=infinity`: the kernel's default depends on the memory, 3,900 with 1 GiB, and is shared
        // by all containers of a user ID.
        (Resource::RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY),
        // `LimitCORE=infinity`; the console sets its own limit.
        (Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY),
    ];
    for (resource, soft, hard) in all {
        boot.sys.set_limit(resource, soft, hard)?;
    }
    Ok(())
}

//! A state device without room: people must be let in to make some.

use nix::mount::MsFlags;

use super::Boot;
use crate::sys::Result;

/// Octets that the system's own containers may need for their files.
const LEAST: u64 = 32 << 20;

/// What the system itself writes.
const OWN: [&str; 2] = ["/var/lib/system-docker", "/var/log"];

pub(super) fn room(boot: &mut Boot<'_>) -> Result<()> {
    let free = boot.sys.free("/var")?;
    if free >= LEAST {
        return Ok(());
    }
    for folder in OWN {
        boot.mount("full", folder, "tmpfs", MsFlags::empty(), "mode=0755")?;
    }
    Err(format!(
        "the state device is full ({} MiB left): the system's own containers are kept in memory until the next boot; make room in /home, /opt or the user's Docker",
        free >> 20
    ))
}

//! A full state device: people must be able to log in to free space.

use nix::mount::MsFlags;
use sys::{FreeSpace, Result};

use crate::boot::Boot;

/// The free bytes that the system containers need for their files.
const MIN_BYTES: u64 = 32 << 20;

/// The number of files that they need; a console has some hundreds.
const MIN_FILES: u64 = 2048;

/// The folders that the system itself writes.
const SYSTEM_FOLDERS: [&str; 2] = ["/var/lib/system-docker", "/var/log"];

/// Checks the free space of the state device; without enough of it the system's own folders are kept in
/// memory.
///
/// # Errors
/// The state device is full.
pub(crate) fn check(boot: &mut Boot<'_>) -> Result<()> {
    let Some(left) = shortage(boot.sys.free_space("/var")?) else {
        return Ok(());
    };
    for folder in SYSTEM_FOLDERS {
        boot.mount("full", folder, "tmpfs", MsFlags::empty(), "mode=0755")?;
    }
    Err(format!(
        "the state device is full ({left} left); system containers are kept in memory until the next boot; hint: free space in /home, /opt or the user's Docker"
    ))
}

/// How much is left, if there are too few free bytes or files.
fn shortage(free: FreeSpace) -> Option<String> {
    let bytes = (free.bytes < MIN_BYTES).then(|| format!("{} MiB", free.bytes >> 20));
    let files = free.files.filter(|files| *files < MIN_FILES);
    let files = files.map(|files| format!("{files} files"));
    let left: Vec<_> = bytes.into_iter().chain(files).collect();
    (!left.is_empty()).then(|| left.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_names_bytes_or_files_when_they_ran_out() {
        let left = |bytes, files| shortage(FreeSpace { bytes, files });
        assert_eq!(left(MIN_BYTES, Some(MIN_FILES)), None);
        assert_eq!(left(MIN_BYTES, None), None);
        assert_eq!(left(MIN_BYTES - 1, None).as_deref(), Some("31 MiB"));
        assert_eq!(left(MIN_BYTES, Some(0)).as_deref(), Some("0 files"));
        assert_eq!(left(0, Some(7)).as_deref(), Some("0 MiB and 7 files"));
    }
}

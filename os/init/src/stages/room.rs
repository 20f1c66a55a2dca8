//! A state device without room: people must be let in to make some.

use nix::mount::MsFlags;

use super::Boot;
use crate::sys::{Free, Result};

/// Octets that the system's own containers may need for their files.
const LEAST: u64 = 32 << 20;

/// How many files those may be: a console has some hundreds.
const LEAST_FILES: u64 = 2048;

/// What the system itself writes.
const OWN: [&str; 2] = ["/var/lib/system-docker", "/var/log"];

pub(super) fn room(boot: &mut Boot<'_>) -> Result<()> {
    let Some(left) = too_little(boot.sys.free("/var")?) else {
        return Ok(());
    };
    for folder in OWN {
        boot.mount("full", folder, "tmpfs", MsFlags::empty(), "mode=0755")?;
    }
    Err(format!(
        "the state device is full ({left} left): the system's own containers are kept in memory until the next boot; make room in /home, /opt or the user's Docker"
    ))
}

/// What is left of that of which there is too little: of octets, of files, or of both.
fn too_little(free: Free) -> Option<String> {
    let octets = (free.octets < LEAST).then(|| format!("{} MiB", free.octets >> 20));
    let files = free.files.filter(|files| *files < LEAST_FILES);
    let files = files.map(|files| format!("room for {files} files"));
    let left: Vec<_> = octets.into_iter().chain(files).collect();
    (!left.is_empty()).then(|| left.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_out_is_said() {
        let left = |octets, files| too_little(Free { octets, files });
        assert_eq!(left(LEAST, Some(LEAST_FILES)), None);
        assert_eq!(left(LEAST, None), None);
        assert_eq!(left(LEAST - 1, None).as_deref(), Some("31 MiB"));
        assert_eq!(left(LEAST, Some(0)).as_deref(), Some("room for 0 files"));
        assert_eq!(
            left(0, Some(7)).as_deref(),
            Some("0 MiB and room for 7 files")
        );
    }
}

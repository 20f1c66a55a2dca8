//! The user who called this program, also through `sudo`.

use std::path::PathBuf;

/// The calling user.
pub(crate) struct Caller {
    /// The user ID.
    pub(crate) user: u32,
    /// The ID of the primary group.
    pub(crate) group: u32,
    /// The home folder.
    pub(crate) home: PathBuf,
}

/// Fails if the caller is not root.
///
/// # Errors
/// The caller is not root.
pub(crate) fn must_be_root() -> Result<(), String> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err("this command requires root; hint: run it with `sudo`".into())
    }
}

/// The calling user, by the variables of `sudo` or else by the process.
pub(crate) fn caller() -> Caller {
    let variable = |name: &str| std::env::var(name).ok()?.parse().ok();
    let user = variable("SUDO_UID").unwrap_or_else(|| nix::unistd::getuid().as_raw());
    let group = variable("SUDO_GID").unwrap_or_else(|| nix::unistd::getgid().as_raw());
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let home = home(&passwd, user).unwrap_or("/").into();
    Caller { user, group, home }
}

/// The home folder in passwd(5). The C library is not used, because in a static program it loads plug-ins
/// from the disk.
fn home(passwd: &str, user: u32) -> Option<&str> {
    let mut lines = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    lines.find_map(|fields| {
        let number: u32 = fields.get(2)?.parse().ok()?;
        (number == user).then(|| fields.get(5).copied())?
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn home_is_found_by_user_id() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nx:x:1100:1100:X:/home/x:/bin/sh\n";
        assert_eq!(super::home(passwd, 1100), Some("/home/x"));
        assert_eq!(super::home(passwd, 0), Some("/root"));
        assert_eq!(super::home(passwd, 1), None);
    }
}

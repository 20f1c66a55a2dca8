//! Who called: the person, also behind `sudo`.

use std::path::PathBuf;

/// The person.
pub struct Caller {
    /// Number.
    pub user: u32,
    /// Number of the main group.
    pub group: u32,
    /// Home folder.
    pub home: PathBuf,
}

/// An error for everybody but root.
///
/// # Errors
/// The caller is not root.
pub fn must_be_root() -> Result<(), String> {
    match nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err("only root may do this; try it with `sudo`".into()),
    }
}

/// Who called, by what `sudo` tells or else by the process.
pub fn caller() -> Caller {
    let told = |name: &str| std::env::var(name).ok()?.parse().ok();
    let user = told("SUDO_UID").unwrap_or_else(|| nix::unistd::getuid().as_raw());
    let group = told("SUDO_GID").unwrap_or_else(|| nix::unistd::getgid().as_raw());
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let home = home(&passwd, user).unwrap_or("/").into();
    Caller { user, group, home }
}

/// From passwd(5). Not by the C library, which looks for its plug-ins on the disk when it is part of
/// a static program.
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
    fn a_home_is_found_by_the_users_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nx:x:1100:1100:X:/home/x:/bin/sh\n";
        assert_eq!(super::home(passwd, 1100), Some("/home/x"));
        assert_eq!(super::home(passwd, 0), Some("/root"));
        assert_eq!(super::home(passwd, 1), None);
    }
}

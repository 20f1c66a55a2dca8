//! The user `rancher`: account, home folder and password.

use std::io::{Error, Result};
use std::path::Path;

use sha_crypt::{Sha512Params, sha512_simple};

use crate::files::{create_folder, replace};
use crate::groups::with_more_members;

/// The UID and the GID of `rancher`, as in the original RancherOS.
pub(crate) const RANCHER: u32 = 1100;

/// The GIDs of the machine's own groups.
pub(crate) const GROUPS: [u32; 3] = [RANCHER, 1101, 1103];

/// The home folder of `rancher`.
pub(crate) const HOME: &str = "/home/rancher";

/// The rounds of the password hash: the default of crypt(5).
const ROUNDS: usize = 5_000;

/// Adds `rancher` and its groups to the image's users, with the IDs that they have in the whole machine.
///
/// # Errors
/// A file cannot be read or written.
pub(crate) fn create_accounts() -> Result<()> {
    let lines = [
        (
            "/etc/passwd",
            0o644,
            "rancher:x:1100:1100:RancherOS:/home/rancher:/bin/bash",
        ),
        ("/etc/shadow", 0o600, "rancher:*:::::::"),
        ("/etc/group", 0o644, "rancher:x:1100:"),
        ("/etc/group", 0o644, "docker:x:1101:rancher"),
        ("/etc/group", 0o644, "sudo:x:1103:rancher"),
    ];
    for (path, mode, line) in lines {
        let at = |error| Error::other(format!("{path}: {error}"));
        let old = std::fs::read_to_string(path).map_err(at)?;
        let new = with_line(&old, line);
        if new != old {
            replace(path.as_ref(), new.as_bytes(), mode, None).map_err(at)?;
        }
    }
    Ok(())
}

/// The text of a file with lines `NAME:…`, with one line replaced or added. The members of an existing
/// group with the same GID are kept.
fn with_line(old: &str, line: &str) -> String {
    let name = |line: &str| line.split(':').next().map(str::to_owned);
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    match lines.iter_mut().find(|one| name(one) == name(line)) {
        Some(found) if is_group(line) && found.split(':').nth(2) == line.split(':').nth(2) => {
            *found = with_more_members(line, found);
        }
        Some(found) => *found = line.to_owned(),
        None => lines.push(line.to_owned()),
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Whether a line has the format of group(5).
fn is_group(line: &str) -> bool {
    line.split(':').count() == 4
}

/// Creates the home folder.
///
/// # Errors
/// It cannot be created.
pub(crate) fn create_home() -> Result<()> {
    create_folder(HOME.as_ref(), 0o755, (RANCHER, RANCHER))
}

/// Sets the password; `None` disables logins with a password.
///
/// # Errors
/// `/etc/shadow` cannot be read or written.
pub(crate) fn set_password(password: Option<&str>) -> Result<()> {
    let hash = match password {
        None => "*".to_owned(),
        Some(text) => {
            let rounds =
                Sha512Params::new(ROUNDS).map_err(|error| Error::other(format!("{error:?}")))?;
            sha512_simple(text, &rounds).map_err(|error| Error::other(format!("{error:?}")))?
        }
    };
    let path = Path::new("/etc/shadow");
    let shadow = with_password(&std::fs::read_to_string(path)?, "rancher", &hash);
    replace(path, shadow.as_bytes(), 0o600, None)
}

/// The text of a shadow(5) file with one user's hash replaced.
fn with_password(shadow: &str, user: &str, hash: &str) -> String {
    let line = |line: &str| match line.split(':').collect::<Vec<_>>().as_mut_slice() {
        [name, old, ..] if *name == user => {
            line.replacen(&format!("{name}:{old}"), &format!("{name}:{hash}"), 1)
        }
        _ => line.to_owned(),
    };
    shadow.lines().map(|text| line(text) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_password_changes_one_user_only() {
        let shadow = "root:*:::::::\nrancher:*:1::::::\n";
        assert_eq!(
            with_password(shadow, "rancher", "$6$x"),
            "root:*:::::::\nrancher:$6$x:1::::::\n"
        );
    }

    #[test]
    fn with_line_replaces_the_line_of_the_same_name() {
        let group = "sudo:x:27:\nadm:x:4:\n";
        let with = with_line(
            &with_line(group, "sudo:x:1103:rancher"),
            "docker:x:1101:rancher",
        );
        assert_eq!(
            with,
            "sudo:x:1103:rancher\nadm:x:4:\ndocker:x:1101:rancher\n"
        );
        let more = with_line("docker:x:1101:ann,rancher\n", "docker:x:1101:rancher");
        assert_eq!(more, "docker:x:1101:rancher,ann\n");
    }
}

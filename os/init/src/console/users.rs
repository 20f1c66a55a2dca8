//! User `rancher`: home and password.

use std::fs::Permissions;
use std::io::{Error, Result};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use sha_crypt::{Sha512Params, sha512_simple};

use super::people::with_more_members;

/// `rancher`'s number and that of its group, as RancherOS always had it.
pub const RANCHER: u32 = 1100;

/// The numbers of the machine's own groups.
pub const GROUPS: [u32; 3] = [RANCHER, 1101, 1103];

pub const HOME: &str = "/home/rancher";

/// Rounds of the password's hash: the default of crypt(5).
const ROUNDS: usize = 5_000;

/// Makes `rancher` and its groups known, by the numbers that they have in the whole machine: a console
/// of another make has people and groups of its own.
pub fn accounts() -> Result<()> {
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
        let told = |error| Error::other(format!("{path}: {error}"));
        let old = std::fs::read_to_string(path).map_err(told)?;
        let new = with_line(&old, line);
        if new != old {
            replace(path.as_ref(), new.as_bytes(), mode, None).map_err(told)?;
        }
    }
    Ok(())
}

/// A file of lines `NAME:…` with this line in the place of that name's. Members that a group of this
/// number has are added to those of the line.
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

/// Whether a line is one of group(5).
fn is_group(line: &str) -> bool {
    line.split(':').count() == 4
}

/// Makes the home folder, on whatever is mounted on `/home`.
pub fn home() -> Result<()> {
    folder(HOME.as_ref(), 0o755, (RANCHER, RANCHER))
}

/// Sets the password, or shuts logins by password out.
pub fn password(password: Option<&str>) -> Result<()> {
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

/// A shadow(5) file with one user's hash changed.
fn with_password(shadow: &str, user: &str, hash: &str) -> String {
    let line = |line: &str| match line.split(':').collect::<Vec<_>>().as_mut_slice() {
        [name, old, ..] if *name == user => {
            line.replacen(&format!("{name}:{old}"), &format!("{name}:{hash}"), 1)
        }
        _ => line.to_owned(),
    };
    shadow.lines().map(|text| line(text) + "\n").collect()
}

/// Makes a folder, of a mode and for an owner. One that is there and has this owner keeps the mode
/// that the owner gave it.
pub fn folder(path: &Path, mode: u32, (user, group): (u32, u32)) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user) {
        return Ok(());
    }
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    // Last, so that a folder whose making was cut off is no finished one.
    chown(path, Some(user), Some(group))
}

/// Writes a file beside its place, synced, and renames it; it is root's unless told.
pub fn replace(path: &Path, content: &[u8], mode: u32, owner: Option<u32>) -> Result<()> {
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    std::fs::write(&new, content)?;
    std::fs::set_permissions(&new, Permissions::from_mode(mode))?;
    if let Some(owner) = owner {
        chown(&new, Some(owner), Some(owner))?;
    }
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_users_hash_changes() {
        let shadow = "root:*:::::::\nrancher:*:1::::::\n";
        assert_eq!(
            with_password(shadow, "rancher", "$6$x"),
            "root:*:::::::\nrancher:$6$x:1::::::\n"
        );
    }

    #[test]
    fn a_line_takes_the_place_of_the_one_of_its_name() {
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

    #[test]
    fn a_folder_keeps_the_mode_that_its_owner_gave_it() {
        let above = tempfile::tempdir().unwrap();
        let me = above.path().metadata().unwrap();
        let me = (me.uid(), me.gid());
        let path = above.path().join("home/me");
        let mode = || path.metadata().unwrap().permissions().mode() & 0o7777;
        folder(&path, 0o755, me).unwrap();
        assert_eq!(mode(), 0o755);
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        folder(&path, 0o755, me).unwrap();
        assert_eq!(mode(), 0o700);
    }
}

//! Writes the files of user-data with their owners, and creates missing folders.

use std::fs::{File as Opened, OpenOptions, Permissions};
use std::io::{Result as IoResult, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, fchown};
use std::path::{Path, PathBuf};

use crate::Problem;
use crate::status::Status;
use crate::user_data::{File, Owner, UserData};

/// The folder of the files that the engines read when they start.
const ENGINES: &str = "/etc/docker/";

/// Writes the files and reports the ones that fail.
pub(crate) fn write_files(user_data: &UserData, status: &mut Status) {
    for file in &user_data.files {
        match write_file(file) {
            Ok(()) => status.files.push(file.path.clone()),
            Err(error) => {
                let message = format!("`write_files`: {}: {error}", file.path);
                status.problem(Problem::at(file.line, message));
            }
        }
    }
}

/// Writes the files that the engines read when they start, before the console exists. Only the console
/// knows the accounts, so it writes the files that have an owner.
pub(crate) fn write_early(user_data: &UserData) {
    let is_early = |file: &&File| {
        file.path.starts_with(ENGINES) && file.owner == Owner::default() && !file.append
    };
    for file in user_data.files.iter().filter(is_early) {
        // The console writes the file again and reports errors.
        let _ = replace(Path::new(&file.path), &file.content.0, file.mode, (0, 0));
    }
}

fn write_file(file: &File) -> Result<(), String> {
    let path = Path::new(&file.path);
    let users = std::fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let owner = ids(&file.owner, &users)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    create_folders(folder, owner, &homes(&users)).map_err(|error| error.to_string())?;
    let content = if file.append {
        appended(path, &file.content.0).map_err(|error| error.to_string())?
    } else {
        Some(file.content.0.clone())
    };
    let Some(content) = content else {
        return Ok(());
    };
    replace(path, &content, file.mode, owner).map_err(|error| error.to_string())
}

/// The content of the file with `more` appended, or `None` if it contains `more` already, because an
/// earlier boot may have appended it.
fn appended(path: &Path, more: &[u8]) -> IoResult<Option<Vec<u8>>> {
    let mut content = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    if more.is_empty() || content.windows(more.len()).any(|part| part == more) {
        return Ok(None);
    }
    content.extend(more);
    Ok(Some(content))
}

/// The home folders of all users, and `/home`.
fn homes(users: &str) -> Vec<PathBuf> {
    let homes = users.lines().filter_map(|line| line.split(':').nth(5));
    let homes = homes.filter(|home| home.starts_with('/') && *home != "/");
    homes
        .map(PathBuf::from)
        .chain([PathBuf::from("/home")])
        .collect()
}

/// Creates missing folders. Folders below a home get the owner of the file, who could not write to them
/// otherwise.
fn create_folders(folder: &Path, owner: (u32, u32), homes: &[PathBuf]) -> IoResult<()> {
    let missing = folder.ancestors().take_while(|folder| !folder.exists());
    for folder in missing.collect::<Vec<_>>().into_iter().rev() {
        std::fs::create_dir(folder)?;
        let is_own = homes
            .iter()
            .any(|home| folder.starts_with(home) && folder != Path::new("/home"));
        if is_own && owner != (0, 0) {
            chown(folder, Some(owner.0), Some(owner.1))?;
        }
    }
    Ok(())
}

/// The user and group ID of an owner, by the accounts of this console. The default group is the user's
/// primary group.
fn ids(owner: &Owner, users: &str) -> Result<(u32, u32), String> {
    let user = match &owner.user {
        None => (0, 0),
        Some(name) => account(users, name).ok_or(format!("unknown user `{name}`"))?,
    };
    let group = match &owner.group {
        None => user.1,
        Some(name) => {
            let path = "/etc/group";
            let groups = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
            let group = account(&groups, name).ok_or(format!("unknown group `{name}`"))?;
            group.0
        }
    };
    Ok((user.0, group))
}

/// The ID of a user or group by its name or ID, and the primary group of a user (passwd(5), group(5)).
fn account(table: &str, wanted: &str) -> Option<(u32, u32)> {
    let named = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        if name != wanted && number != wanted {
            return None;
        }
        let number = number.parse().ok()?;
        let group = fields.next().and_then(|group| group.parse().ok());
        Some((number, group.unwrap_or(number)))
    });
    named.or_else(|| wanted.parse().ok().map(|number| (number, number)))
}

/// Replaces a file: writes a temporary file in the same folder, syncs it and renames it.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32, owner: (u32, u32)) -> IoResult<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(content)?;
    let file = new.as_file();
    // The file belongs to root already, and other users cannot change owners.
    if owner != (0, 0) {
        fchown(file, Some(owner.0), Some(owner.1))?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    match new.persist(path) {
        Ok(_) => Opened::open(folder)?.sync_all(),
        // A mount point, such as /etc/hosts, cannot be replaced, but it can be written.
        Err(error) if error.error.kind() == std::io::ErrorKind::ResourceBusy => {
            let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
            file.write_all(content)?;
            file.sync_all()
        }
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn account_is_found_by_name_and_id() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\nrancher:x:1100:1101:R:/home/rancher:/bin/bash\n";
        assert_eq!(account(users, "rancher"), Some((1100, 1101)));
        assert_eq!(account(users, "1100"), Some((1100, 1101)));
        assert_eq!(account(users, "33"), Some((33, 33)));
        assert_eq!(account(users, "nobody"), None);
        assert_eq!(
            account("docker:x:1101:rancher\n", "docker"),
            Some((1101, 1101))
        );
    }

    #[test]
    fn replace_sets_content_and_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        for (content, mode) in [("one", 0o755), ("two", 0o600)] {
            replace(&path, content.as_bytes(), mode, (0, 0)).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
            let found = path.metadata().unwrap().permissions().mode();
            assert_eq!(found & 0o7777, mode);
        }
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
        assert!(replace(folder.path(), b"x", 0o644, (0, 0)).is_err());
    }

    #[test]
    fn folders_below_a_home_get_the_owner_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home/me");
        let users = format!(
            "root:x:0:0::/:/bin/sh\nme:x:1100:1100::{}:/bin/sh\n",
            home.display()
        );
        // Only root can change the owner of a folder.
        let me = if nix::unistd::geteuid().is_root() {
            (1100, 1100)
        } else {
            (
                nix::unistd::geteuid().as_raw(),
                nix::unistd::getegid().as_raw(),
            )
        };
        create_folders(&home.join(".docker/a"), me, &homes(&users)).unwrap();
        let root = folder.path().metadata().unwrap().uid();
        let owner = |path: &str| folder.path().join(path).metadata().unwrap().uid();
        assert_eq!(owner("home"), root);
        for path in ["home/me", "home/me/.docker", "home/me/.docker/a"] {
            assert_eq!(owner(path), me.0, "{path}");
        }
        create_folders(&folder.path().join("etc/x"), me, &homes(&users)).unwrap();
        assert_eq!(owner("etc/x"), root);
        assert!(homes("").contains(&PathBuf::from("/home")));
    }

    #[test]
    fn append_adds_the_content_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(appended(&path, b"x\n").unwrap(), Some(b"x\n".to_vec()));
        std::fs::write(&path, "a\n").unwrap();
        assert_eq!(appended(&path, b"x\n").unwrap(), Some(b"a\nx\n".to_vec()));
        std::fs::write(&path, "a\nx\nb\n").unwrap();
        assert_eq!(appended(&path, b"x\n").unwrap(), None);
    }
}

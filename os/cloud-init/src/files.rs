//! Writing files, whose they are and where their folders are not there yet.

use std::fs::{File as Opened, OpenOptions, Permissions};
use std::io::{Result as IoResult, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, fchown};
use std::path::{Path, PathBuf};

use crate::Problem;
use crate::status::Status;
use crate::user_data::{File, Owner, Told};

/// What the engines read when they start lies here.
const ENGINES: &str = "/etc/docker/";

/// Writes files, and tells which could not be.
pub(crate) fn write_files(told: &Told, status: &mut Status) {
    for file in &told.files {
        match write_file(file) {
            Ok(()) => status.files.push(file.path.clone()),
            Err(why) => {
                let what = format!("`write_files`: {}: {why}", file.path);
                status.problem(Problem::at(file.line, what));
            }
        }
    }
}

/// Writes those that the engines read when they start, which is before there is a console. Whose they
/// are only the console knows: those of a name are written there.
pub(crate) fn write_early(told: &Told) {
    let is_early = |file: &&File| {
        file.path.starts_with(ENGINES) && file.owner == Owner::default() && !file.append
    };
    for file in told.files.iter().filter(is_early) {
        // The console writes it once more, and tells.
        let _ = replace(Path::new(&file.path), &file.content.0, file.mode, (0, 0));
    }
}

fn write_file(file: &File) -> Result<(), String> {
    let path = Path::new(&file.path);
    let users = std::fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let owner = numbers(&file.owner, &users)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folders(folder, owner, &homes(&users)).map_err(|error| error.to_string())?;
    let content = match file.append {
        true => appended(path, &file.content.0).map_err(|error| error.to_string())?,
        false => Some(file.content.0.clone()),
    };
    let Some(content) = content else {
        return Ok(());
    };
    replace(path, &content, file.mode, owner).map_err(|error| error.to_string())
}

/// What is there with more at its end; nothing where that is there already, as a boot may not be the
/// first.
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

/// The folders that users call their own.
fn homes(users: &str) -> Vec<PathBuf> {
    let homes = users.lines().filter_map(|line| line.split(':').nth(5));
    let homes = homes.filter(|home| home.starts_with('/') && *home != "/");
    homes
        .map(PathBuf::from)
        .chain([PathBuf::from("/home")])
        .collect()
}

/// Makes folders; those in a home belong to whom the file in them belongs to, who could do nothing
/// beside it otherwise.
fn make_folders(folder: &Path, owner: (u32, u32), homes: &[PathBuf]) -> IoResult<()> {
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

/// The numbers of an owner, by the accounts of this console. A user without a group has his own.
fn numbers(owner: &Owner, users: &str) -> Result<(u32, u32), String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
    let user = match &owner.user {
        None => (0, 0),
        Some(name) => account(users, name).ok_or(format!("there is no user `{name}`"))?,
    };
    let group = match &owner.group {
        None => user.1,
        Some(name) => {
            let (number, _) =
                account(&read("/etc/group")?, name).ok_or(format!("there is no group `{name}`"))?;
            number
        }
    };
    Ok((user.0, group))
}

/// Number and, of a user, group of an account by its name or number (passwd(5), group(5)).
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

/// Writes a file beside its place, synced, and renames it.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32, owner: (u32, u32)) -> IoResult<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(content)?;
    let file = new.as_file();
    // Root's it is already, and others cannot give files away.
    if owner != (0, 0) {
        fchown(file, Some(owner.0), Some(owner.1))?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    match new.persist(path) {
        Ok(_) => Opened::open(folder)?.sync_all(),
        // Something is mounted there, as on /etc/hosts: it cannot be replaced, but written.
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
    fn accounts_are_found_by_name_and_number() {
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
    fn a_file_is_replaced_whole_with_its_mode() {
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
    fn folders_in_a_home_belong_to_whom_the_file_belongs_to() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home/me");
        let users = format!(
            "root:x:0:0::/:/bin/sh\nme:x:1100:1100::{}:/bin/sh\n",
            home.display()
        );
        // Only root gives folders away: others keep their own.
        let me = match nix::unistd::geteuid().is_root() {
            true => (1100, 1100),
            false => (
                nix::unistd::geteuid().as_raw(),
                nix::unistd::getegid().as_raw(),
            ),
        };
        make_folders(&home.join(".docker/a"), me, &homes(&users)).unwrap();
        let root = folder.path().metadata().unwrap().uid();
        let owner = |path: &str| folder.path().join(path).metadata().unwrap().uid();
        assert_eq!(owner("home"), root);
        for path in ["home/me", "home/me/.docker", "home/me/.docker/a"] {
            assert_eq!(owner(path), me.0, "{path}");
        }
        make_folders(&folder.path().join("etc/x"), me, &homes(&users)).unwrap();
        assert_eq!(owner("etc/x"), root);
        assert!(homes("").contains(&PathBuf::from("/home")));
    }

    #[test]
    fn what_is_appended_is_there_once_however_often_a_machine_boots() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(appended(&path, b"x\n").unwrap(), Some(b"x\n".to_vec()));
        std::fs::write(&path, "a\n").unwrap();
        assert_eq!(appended(&path, b"x\n").unwrap(), Some(b"a\nx\n".to_vec()));
        std::fs::write(&path, "a\nx\nb\n").unwrap();
        assert_eq!(appended(&path, b"x\n").unwrap(), None);
    }
}

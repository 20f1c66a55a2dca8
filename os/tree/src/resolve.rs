//! Translates paths of the tree to paths in the machine's own mount namespace.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

/// Folders that are the same in the tree and in the machine. The engine's own files must keep the paths
/// that the engine uses, because it removes them by these paths.
const SAME: [&str; 5] = ["dev", "proc", "run", "sys", "var/lib/docker"];

/// Translates a path of the tree. Creates a folder if the tree does not have the path, unless the
/// machine has a file of that path, such as a program.
///
/// # Errors
/// A part of the path is not a folder, or the folder cannot be created.
pub fn resolve(path: &str, tree: &Path) -> Result<PathBuf> {
    let inside = path.trim_start_matches('/');
    if SAME.iter().any(|same| Path::new(inside).starts_with(same)) {
        return Ok(path.into());
    }
    let found = match find(tree, inside) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if Path::new(path).is_file() {
                return Ok(path.into());
            }
            create_folder(tree, inside)?
        }
        found => found?,
    };
    let inside = found.strip_prefix(tree).unwrap_or(&found);
    if SAME.iter().any(|same| inside.starts_with(same)) {
        return Ok(Path::new("/").join(inside));
    }
    Ok(found)
}

/// Follows a path with the tree as the root, so that absolute symbolic links stay in the tree.
fn find(tree: &Path, inside: &str) -> Result<PathBuf> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let root = open(tree, flags | OFlag::O_DIRECTORY, Mode::empty())?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let inside = if inside.is_empty() { "." } else { inside };
    let found = openat2(&root, inside, how)?;
    std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

/// Creates a folder and its parents.
fn create_folder(tree: &Path, inside: &str) -> Result<PathBuf> {
    let path = Path::new(inside);
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let above = path.parent().unwrap_or(Path::new(""));
    let above = above.to_str().ok_or(ErrorKind::InvalidInput)?;
    let folder = match find(tree, above) {
        Err(error) if error.kind() == ErrorKind::NotFound => create_folder(tree, above)?,
        found => found?,
    };
    let made = folder.join(name);
    match std::fs::create_dir(&made) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            let why = format!("{}: {error}", made.display());
            Err(Error::new(error.kind(), why))
        }
        _ => Ok(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in ["srv/www", "var", "run", "usr", "mnt/disk"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        std::fs::write(folder.path().join("srv/app.conf"), "").unwrap();
        for (target, path) in [
            ("/mnt/disk", "data"),
            ("../run", "var/run"),
            ("/srv", "var/www"),
        ] {
            std::os::unix::fs::symlink(target, folder.path().join(path)).unwrap();
        }
        folder
    }

    #[test]
    fn resolve_finds_paths_in_the_tree_and_follows_links_inside_it() {
        let tree = tree();
        let resolved = |path: &str| {
            let found = resolve(path, tree.path()).unwrap();
            match found.strip_prefix(tree.path()) {
                Ok(inside) => format!("TREE/{}", inside.display()),
                Err(_) => found.display().to_string(),
            }
        };
        assert_eq!(resolved("/srv/www"), "TREE/srv/www");
        assert_eq!(resolved("/srv/app.conf"), "TREE/srv/app.conf");
        assert_eq!(resolved("/data"), "TREE/mnt/disk");
        assert_eq!(resolved("/var/www/www"), "TREE/srv/www");
        assert_eq!(resolved("/"), "TREE/");
        assert_eq!(resolved("/srv/../../../srv"), "TREE/srv");
        // The same folder in the machine.
        assert_eq!(resolved("/dev/fuse"), "/dev/fuse");
        assert_eq!(resolved("/var/run"), "/run");
        assert_eq!(
            resolved("/var/lib/docker/volumes/v/_data"),
            "/var/lib/docker/volumes/v/_data"
        );
        // The engine created it in a folder that is private to it.
        assert_eq!(resolved("/no-such-place/a/b"), "TREE/no-such-place/a/b");
        assert_eq!(resolved("/data/new"), "TREE/mnt/disk/new");
        assert!(tree.path().join("mnt/disk/new").is_dir());
    }
}

//! Where a path of the tree is in the machine's own mount namespace.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

/// Folders that are the same in the tree and in the machine. What the engine keeps must be named as it
/// names it: it removes it later.
const SAME: [&str; 5] = ["dev", "proc", "run", "sys", "var/lib/docker"];

/// The place of a path. A folder that the tree lacks is made; a program of the machine that the tree
/// lacks is the machine's.
///
/// # Errors
/// A part of the path is no folder, or none can be made there.
pub fn place(path: &str, tree: &Path) -> Result<PathBuf> {
    let inside = path.trim_start_matches('/');
    if SAME.iter().any(|same| Path::new(inside).starts_with(same)) {
        return Ok(path.into());
    }
    let found = match resolve(tree, inside) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if Path::new(path).is_file() {
                return Ok(path.into());
            }
            make_folder(tree, inside)?
        }
        found => found?,
    };
    let inside = found.strip_prefix(tree).unwrap_or(&found);
    if SAME.iter().any(|same| inside.starts_with(same)) {
        return Ok(Path::new("/").join(inside));
    }
    Ok(found)
}

/// Follows a path with the tree as the root, so that an absolute symbolic link stays in it.
fn resolve(tree: &Path, inside: &str) -> Result<PathBuf> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let root = open(tree, flags | OFlag::O_DIRECTORY, Mode::empty())?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let inside = if inside.is_empty() { "." } else { inside };
    let found = openat2(&root, inside, how)?;
    std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

/// Makes a folder and those above it.
fn make_folder(tree: &Path, inside: &str) -> Result<PathBuf> {
    let path = Path::new(inside);
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let above = path.parent().unwrap_or(Path::new(""));
    let above = above.to_str().ok_or(ErrorKind::InvalidInput)?;
    let folder = match resolve(tree, above) {
        Err(error) if error.kind() == ErrorKind::NotFound => make_folder(tree, above)?,
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
    fn sources_are_found_in_the_tree_and_links_stay_in_it() {
        let tree = tree();
        let place = |path: &str| {
            let found = place(path, tree.path()).unwrap();
            match found.strip_prefix(tree.path()) {
                Ok(inside) => format!("TREE/{}", inside.display()),
                Err(_) => found.display().to_string(),
            }
        };
        assert_eq!(place("/srv/www"), "TREE/srv/www");
        assert_eq!(place("/srv/app.conf"), "TREE/srv/app.conf");
        assert_eq!(place("/data"), "TREE/mnt/disk");
        assert_eq!(place("/var/www/www"), "TREE/srv/www");
        assert_eq!(place("/"), "TREE/");
        assert_eq!(place("/srv/../../../srv"), "TREE/srv");
        // The same in the machine.
        assert_eq!(place("/dev/fuse"), "/dev/fuse");
        assert_eq!(place("/var/run"), "/run");
        assert_eq!(
            place("/var/lib/docker/volumes/v/_data"),
            "/var/lib/docker/volumes/v/_data"
        );
        // Made by the engine where nobody else sees it.
        assert_eq!(place("/no-such-place/a/b"), "TREE/no-such-place/a/b");
        assert_eq!(place("/data/new"), "TREE/mnt/disk/new");
        assert!(tree.path().join("mnt/disk/new").is_dir());
    }
}

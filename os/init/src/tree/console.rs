//! The console's part in the tree: it adds the folders of its image, and makes the tree its root.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::place::{self, Entry};
use super::root::{detach, enter, propagate, remount};
use super::{TREE, engine};

/// Where a mount is prepared, on the console's own root.
const STAGE: &str = "/.stage";

/// What the console before this one mounted, by line, so that it is taken away first.
const PLACED: &str = "/run/tree/console";

/// Makes the tree the root of this console, with the folders of its image in it. Nothing is changed
/// where the machine has no tree.
///
/// # Errors
/// The tree cannot be entered: the console goes on with the root that it has. Parts of the image that
/// have no place are named through `tell`.
pub fn enter_tree(tell: &mut impl FnMut(String)) -> Result<()> {
    if !Path::new(TREE).is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(STAGE)?;
    std::fs::create_dir_all(engine::SIGNS)?;
    // Mounts on it are this console's own.
    propagate(Path::new("/"), MsFlags::MS_PRIVATE)?;
    take_away_old()?;
    let hidden = [TREE, STAGE].map(|path| path.trim_start_matches('/'));
    let entries = place::entries(Path::new("/"), &hidden)?;
    for (path, error) in place::prepare(Path::new(TREE), &entries) {
        tell(format!("/{path}: {error}"));
    }
    let mounted = entries.iter().filter_map(|entry| match entry {
        Entry::Mounted { path, is_folder } => Some((path, *is_folder)),
        Entry::Link { .. } => None,
    });
    let mut placed = String::new();
    for (path, is_folder) in mounted {
        placed += &format!("{path}\n");
        config::write(PLACED.as_ref(), &placed)?;
        if let Err(error) = put(path, is_folder) {
            tell(format!("/{path}: {error}"));
        }
    }
    engine::say_ready()?;
    remount(
        Path::new(TREE),
        Path::new(STAGE),
        MsFlags::MS_BIND | MsFlags::MS_REC,
    )?;
    enter(Path::new(STAGE))
}

/// Mounts a folder or file of the image at its place in the tree. It becomes a slave of what it was made
/// of first: when it is taken away, that must not be taken away as well (mount_namespaces(7), "umount
/// propagation").
fn put(path: &str, is_folder: bool) -> Result<()> {
    let stage = PathBuf::from(STAGE).join("mount");
    if is_folder {
        let _ = std::fs::create_dir(&stage);
    } else {
        std::fs::write(&stage, "")?;
    }
    let source = Path::new("/").join(path);
    remount(&source, &stage, MsFlags::MS_BIND | MsFlags::MS_REC)?;
    propagate(&stage, MsFlags::MS_SLAVE | MsFlags::MS_REC)?;
    remount(&stage, &Path::new(TREE).join(path), MsFlags::MS_MOVE)?;
    if is_folder {
        std::fs::remove_dir(&stage)
    } else {
        std::fs::remove_file(&stage)
    }
}

fn take_away_old() -> Result<()> {
    let placed = match std::fs::read_to_string(PLACED) {
        Ok(placed) => placed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::other(format!("{PLACED}: {error}"))),
    };
    for path in placed.lines() {
        let place = Path::new(TREE).join(path);
        // One that was noted and never mounted is none.
        let _ = detach(&place);
        // A folder that the next image has is made again.
        let _ = std::fs::remove_dir(&place);
    }
    Ok(())
}

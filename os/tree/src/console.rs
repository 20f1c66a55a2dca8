//! The console in the tree: it mounts the folders of its image and makes the tree its root.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use crate::image::{self, Entry};
use crate::root::{detach, enter, propagate, remount};
use crate::{SIGNS, TREE, engine};

/// The mount point for preparing mounts, on the console's own root.
const STAGE: &str = "/.stage";

/// The paths that a console has mounted, one a line, so that the next one unmounts them first.
const MOUNTED: &str = "/run/tree/console";

/// Mounts the folders of the console's image into the tree and makes the tree the root of this process.
/// Does nothing if the machine has no tree. Calls `on_error` for each part of the image that cannot be
/// mounted.
///
/// # Errors
/// The tree cannot become the root; the console can go on with the root that it has.
pub fn enter_tree(on_error: &mut impl FnMut(String)) -> Result<()> {
    if !Path::new(TREE).is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(STAGE)?;
    std::fs::create_dir_all(SIGNS)?;
    // So that mounts on the root are private to this console.
    propagate(Path::new("/"), MsFlags::MS_PRIVATE)?;
    unmount_old()?;
    let hidden = [TREE, STAGE].map(|path| path.trim_start_matches('/'));
    let entries = image::entries(Path::new("/"), &hidden)?;
    for (path, error) in image::prepare(Path::new(TREE), &entries) {
        on_error(format!("/{path}: {error}"));
    }
    let mounted = entries.iter().filter_map(|entry| match entry {
        Entry::Mounted { path, is_folder } => Some((path, *is_folder)),
        Entry::Link { .. } => None,
    });
    let mut list = String::new();
    for (path, is_folder) in mounted {
        list += &format!("{path}\n");
        config::write(MOUNTED.as_ref(), &list)?;
        if let Err(error) = mount_entry(path, is_folder) {
            on_error(format!("/{path}: {error}"));
        }
    }
    engine::mark_ready()?;
    remount(
        Path::new(TREE),
        Path::new(STAGE),
        MsFlags::MS_BIND | MsFlags::MS_REC,
    )?;
    enter(Path::new(STAGE))
}

/// Mounts a folder or a file of the image at the same path in the tree. The mount becomes a slave of its
/// source first: otherwise unmounting it would unmount the source, too (mount_namespaces(7), "umount
/// propagation").
fn mount_entry(path: &str, is_folder: bool) -> Result<()> {
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

fn unmount_old() -> Result<()> {
    let list = match std::fs::read_to_string(MOUNTED) {
        Ok(list) => list,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::other(format!("{MOUNTED}: {error}"))),
    };
    for path in list.lines() {
        let target = Path::new(TREE).join(path);
        // It fails if the path was listed but never mounted.
        let _ = detach(&target);
        // If the next image has the folder it is created again.
        let _ = std::fs::remove_dir(&target);
    }
    Ok(())
}

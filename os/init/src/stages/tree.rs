//! The file tree of people and their containers (crate `tree`), with the folders that are the same for every
//! console.

use nix::mount::MsFlags;
use sys::Result;
use tree::{PERSISTENT_FOLDERS, STATE_FOLDER, SYSTEM_FOLDERS, TREE};

use crate::boot::Boot;

/// Creates the tree and mounts the system's folders into it.
pub(crate) fn tree(boot: &mut Boot<'_>) -> Result<()> {
    boot.sys.create_dir(STATE_FOLDER)?;
    boot.remount(STATE_FOLDER, TREE, MsFlags::MS_BIND)?;
    // Mounts in the tree propagate to all its copies, but not to `/var`, which it was a part of.
    boot.remount("", TREE, MsFlags::MS_PRIVATE)?;
    boot.remount("", TREE, MsFlags::MS_SHARED)?;
    for folder in SYSTEM_FOLDERS {
        let target = format!("{TREE}/{folder}");
        boot.sys.create_dir(&target)?;
        let all = MsFlags::MS_BIND | MsFlags::MS_REC;
        boot.remount(&format!("/{folder}"), &target, all)?;
    }
    for folder in PERSISTENT_FOLDERS {
        boot.sys.create_dir(&format!("{TREE}/{folder}"))?;
    }
    Ok(())
}

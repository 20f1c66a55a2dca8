//! The tree of people and their containers, as far as it is the same for every console: see
//! [`crate::tree`].

use nix::mount::MsFlags;

use super::Boot;
use crate::sys::Result;
use crate::tree::{BASE, FOLDERS, KEPT, TREE};

pub(super) fn tree(boot: &mut Boot<'_>) -> Result<()> {
    boot.sys.make_folder(KEPT)?;
    boot.remount(KEPT, TREE, MsFlags::MS_BIND)?;
    // Mounts in it are to show in all its copies, but not in `/var`, which it was a part of.
    boot.remount("", TREE, MsFlags::MS_PRIVATE)?;
    boot.remount("", TREE, MsFlags::MS_SHARED)?;
    for folder in BASE {
        let place = format!("{TREE}/{folder}");
        boot.sys.make_folder(&place)?;
        let all = MsFlags::MS_BIND | MsFlags::MS_REC;
        boot.remount(&format!("/{folder}"), &place, all)?;
    }
    for folder in FOLDERS {
        boot.sys.make_folder(&format!("{TREE}/{folder}"))?;
    }
    Ok(())
}

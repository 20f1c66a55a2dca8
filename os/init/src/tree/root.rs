//! Making a mounted folder the root of this mount namespace.

use std::io::Result;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Mounts with the flags alone: binds, moves and changes of propagation.
pub fn remount(source: &Path, target: &Path, flags: MsFlags) -> Result<()> {
    mount(Some(source), target, None::<&str>, flags, None::<&str>).map_err(Into::into)
}

/// Changes how mounts below a folder propagate.
pub fn propagate(target: &Path, flags: MsFlags) -> Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>).map_err(Into::into)
}

/// Takes a mount away, also one that is in use.
pub fn detach(target: &Path) -> Result<()> {
    umount2(target, MntFlags::MNT_DETACH).map_err(Into::into)
}

/// Moves a mount over the root of this namespace and makes it the root of this process. What joins the
/// namespace later gets it as well: setns(2) looks for the topmost mount (`mntns_install` in
/// `fs/namespace.c`). pivot_root(2) cannot be used, because it refuses shared mounts.
///
/// The mount that `folder` lies on must be private.
pub fn enter(folder: &Path) -> Result<()> {
    std::env::set_current_dir(folder)?;
    remount(Path::new("."), Path::new("/"), MsFlags::MS_MOVE)?;
    nix::unistd::chroot(".")?;
    std::env::set_current_dir("/")
}

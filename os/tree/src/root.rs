//! Makes a mounted folder the root of this mount namespace.

use std::io::Result;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// mount(2) for bind mounts and moves, which need flags only.
pub(crate) fn remount(source: &Path, target: &Path, flags: MsFlags) -> Result<()> {
    mount(Some(source), target, None::<&str>, flags, None::<&str>).map_err(Into::into)
}

/// Changes the propagation of a mount.
pub(crate) fn propagate(target: &Path, flags: MsFlags) -> Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>).map_err(Into::into)
}

/// Unmounts a folder lazily, so that it may be in use.
pub(crate) fn detach(target: &Path) -> Result<()> {
    umount2(target, MntFlags::MNT_DETACH).map_err(Into::into)
}

/// Moves a mount over the root of this namespace and makes it the root of this process. Processes that
/// join the namespace later get the same root: setns(2) takes the topmost mount (`mntns_install` in
/// `fs/namespace.c`). pivot_root(2) cannot be used, because it refuses shared mounts.
///
/// The mount that has the folder must be private.
pub(crate) fn enter(folder: &Path) -> Result<()> {
    std::env::set_current_dir(folder)?;
    remount(Path::new("."), Path::new("/"), MsFlags::MS_MOVE)?;
    nix::unistd::chroot(".")?;
    std::env::set_current_dir("/")
}

//! Device nodes and loop devices.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mknod};
use nix::unistd::{Gid, chown};

use super::Node;

/// Creates a device node, unless the path exists.
pub(super) fn create(path: &str, node: Node) -> nix::Result<()> {
    let kind = if node.block {
        SFlag::S_IFBLK
    } else {
        SFlag::S_IFCHR
    };
    let mode = Mode::from_bits_truncate(node.mode);
    match mknod(path, kind, mode, makedev(node.number.0, node.number.1)) {
        Ok(()) => (),
        // The driver is loaded already and made its node.
        Err(Errno::EEXIST) => return Ok(()),
        Err(error) => return Err(error),
    }
    chown(path, None, Some(Gid::from_raw(node.group)))?;
    // mknod(2) applies the umask.
    fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink)
}

/// Attaches a file to a free loop device, read-only; returns the device's path.
pub(super) fn attach_loop(file: &str) -> nix::Result<String> {
    let access = |path: &str, flags| -> nix::Result<OwnedFd> {
        open(path, flags | OFlag::O_CLOEXEC, Mode::empty())
    };
    let control = access("/dev/loop-control", OFlag::O_RDWR)?;
    let backing = access(file, OFlag::O_RDONLY)?;
    let number = ioctl::get_free(&control)?;
    let path = format!("/dev/loop{number}");
    let device = access(&path, OFlag::O_RDONLY)?;
    ioctl::set_backing(&device, backing.as_raw_fd())?;
    Ok(path)
}

/// The two requests of the loop driver (`linux/loop.h`) for which nix has no safe wrapper.
#[allow(unsafe_code, reason = "ioctl(2) has no safe form")]
mod ioctl {
    use std::os::fd::{AsRawFd, OwnedFd, RawFd};

    mod raw {
        const LOOP_SET_FD: u32 = 0x4C00;
        const LOOP_CTL_GET_FREE: u32 = 0x4C82;
        nix::ioctl_none_bad!(loop_ctl_get_free, LOOP_CTL_GET_FREE);
        nix::ioctl_write_int_bad!(loop_set_fd, LOOP_SET_FD);
    }

    pub(super) fn get_free(control: &OwnedFd) -> nix::Result<i32> {
        // SAFETY: the descriptor is open; the request takes no argument and accesses no memory.
        unsafe { raw::loop_ctl_get_free(control.as_raw_fd()) }
    }

    pub(super) fn set_backing(device: &OwnedFd, file: RawFd) -> nix::Result<()> {
        // SAFETY: both descriptors are open; the request takes a number and accesses no memory.
        unsafe { raw::loop_set_fd(device.as_raw_fd(), file) }.map(drop)
    }
}

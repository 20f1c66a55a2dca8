//! From the initrd to the root.

use nix::mount::MsFlags;

use super::Boot;
use crate::sys::Result;

/// Where the root is prepared before it becomes the root.
const NEW_ROOT: &str = "/newroot";

/// Where the squashfs is mounted when it is not all of the root.
const PACKED: &str = "/packed";

/// A folder of the initrd that is laid over the root, where somebody put one there: the initrd may
/// be several archives one after another, so a file of the root is replaced without packing it anew.
const OVER: &str = "/root.d";

pub(super) fn mounts(boot: &mut Boot<'_>) -> Result<()> {
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    boot.mount("proc", "/proc", "proc", plain, "")?;
    boot.mount("sysfs", "/sys", "sysfs", plain, "")?;
    boot.mount(
        "devtmpfs",
        "/dev",
        "devtmpfs",
        MsFlags::MS_NOSUID,
        "mode=0755",
    )?;
    boot.report.open();
    boot.mount(
        "devpts",
        "/dev/pts",
        "devpts",
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        "gid=5,mode=620,ptmxmode=666",
    )?;
    boot.mount(
        "shm",
        "/dev/shm",
        "tmpfs",
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        "mode=1777",
    )?;
    boot.mount(
        "run",
        "/run",
        "tmpfs",
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        "mode=0755",
    )?;
    boot.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", plain, "nsdelegate")?;
    // What a program expects to find in /dev: proc(5), "/proc/self/fd".
    for (target, path) in [
        ("/proc/self/fd", "fd"),
        ("fd/0", "stdin"),
        ("fd/1", "stdout"),
        ("fd/2", "stderr"),
    ] {
        boot.sys.link(target, &format!("/dev/{path}"))?;
    }
    Ok(())
}

pub(super) fn early_modules(boot: &mut Boot<'_>) -> Result<()> {
    for name in boot.sys.list("/modules")? {
        boot.sys.load_module(&format!("/modules/{name}"))?;
    }
    Ok(())
}

/// Mounts the squashfs, below what is laid over it.
fn mount_root(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    let readonly = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
    // Without the folder there is nothing to list.
    let over = boot.sys.list(OVER).unwrap_or_default();
    if over.is_empty() {
        return boot.mount(device, NEW_ROOT, "squashfs", readonly, "");
    }
    boot.report.say(&format!(
        "rancher: {OVER} of the initrd is laid over the root"
    ));
    boot.mount(device, PACKED, "squashfs", readonly, "")?;
    let layers = format!("lowerdir={OVER}:{PACKED}");
    boot.mount("root", NEW_ROOT, "overlay", readonly, &layers)
}

/// Mounts the squashfs that lies in the initrd, moves what is mounted into it, and makes it the root.
pub(super) fn root(boot: &mut Boot<'_>) -> Result<()> {
    let device = boot.sys.attach_loop("/root.squashfs")?;
    mount_root(boot, &device)?;
    // What is read lies in memory already: reading ahead only unpacks what nobody asked for.
    let queue = device.replace("/dev/", "/sys/block/") + "/queue/read_ahead_kb";
    boot.sys.write(&queue, "0")?;
    let programs = format!("{NEW_ROOT}{}", crate::PROGRAMS);
    boot.remount("/rancher", &programs, MsFlags::MS_BIND)?;
    let private = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    // Containers have their devices and their set-user-id programs below /var.
    let writable = [
        ("etc", private, "0755"),
        ("tmp", private, "1777"),
        ("var", MsFlags::empty(), "0755"),
    ];
    for (folder, flags, mode) in writable {
        boot.mount(
            folder,
            &format!("{NEW_ROOT}/{folder}"),
            "tmpfs",
            flags,
            &format!("mode={mode}"),
        )?;
    }
    boot.sys
        .copy_folder("/newroot/usr/share/rancher/etc", "/newroot/etc")?;
    for folder in ["dev", "proc", "run", "sys"] {
        boot.remount(
            &format!("/{folder}"),
            &format!("{NEW_ROOT}/{folder}"),
            MsFlags::MS_MOVE,
        )?;
    }
    boot.sys.enter(NEW_ROOT)?;
    boot.remount(".", "/", MsFlags::MS_MOVE)?;
    boot.sys.change_root(".")?;
    // Mounts that one engine makes must show where containerd runs, and in the other containers.
    boot.remount("", "/", MsFlags::MS_SHARED | MsFlags::MS_REC)
}

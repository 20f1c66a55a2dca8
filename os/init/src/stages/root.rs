//! The early mounts and the change from the initrd to the root.

use nix::mount::MsFlags;
use sys::Result;

use crate::boot::Boot;

/// The mount point for preparing the root.
const NEW_ROOT: &str = "/newroot";

/// The mount point of the squashfs if it is the lower layer of an overlay.
const PACKED: &str = "/packed";

/// An optional folder of the initrd that replaces files of the root: the initrd may consist of several
/// archives, so another archive can replace files without building the squashfs again.
const OVERLAY: &str = "/root.d";

/// Mounts /proc, /sys, /dev, /run and the cgroups.
pub(crate) fn mounts(boot: &mut Boot<'_>) -> Result<()> {
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
    // Links that programs expect in /dev: proc(5), "/proc/self/fd".
    for (target, path) in [
        ("/proc/self/fd", "fd"),
        ("fd/0", "stdin"),
        ("fd/1", "stdout"),
        ("fd/2", "stderr"),
    ] {
        boot.sys.symlink(target, &format!("/dev/{path}"))?;
    }
    Ok(())
}

/// Loads the modules of the initrd.
pub(crate) fn early_modules(boot: &mut Boot<'_>) -> Result<()> {
    for name in boot.sys.list("/modules")? {
        boot.sys.load_module(&format!("/modules/{name}"))?;
    }
    Ok(())
}

/// Mounts the squashfs, with [`OVERLAY`] over it if that has files.
fn mount_root(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    let readonly = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
    // An error means that there is no such folder.
    let overlay = boot.sys.list(OVERLAY).unwrap_or_default();
    if overlay.is_empty() {
        return boot.mount(device, NEW_ROOT, "squashfs", readonly, "");
    }
    boot.report.print(&format!(
        "rancher: files in {OVERLAY} of the initrd replace files of the root"
    ));
    boot.mount(device, PACKED, "squashfs", readonly, "")?;
    let layers = format!("lowerdir={OVERLAY}:{PACKED}");
    boot.mount("root", NEW_ROOT, "overlay", readonly, &layers)
}

/// Mounts the squashfs of the initrd, moves the early mounts into it, and makes it the root.
pub(crate) fn root(boot: &mut Boot<'_>) -> Result<()> {
    let device = boot.sys.attach_loop("/root.squashfs")?;
    mount_root(boot, &device)?;
    // The squashfs is in memory already: reading ahead would only decompress blocks that are not needed.
    let queue = device.replace("/dev/", "/sys/block/") + "/queue/read_ahead_kb";
    boot.sys.write(&queue, "0")?;
    let programs = format!("{NEW_ROOT}{}", sys::PROGRAMS);
    boot.remount("/rancher", &programs, MsFlags::MS_BIND)?;
    let private = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    // Without `nodev` and `nosuid` on /var: containers have device nodes and set-user-ID programs there.
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
    boot.sys.set_current_dir(NEW_ROOT)?;
    boot.remount(".", "/", MsFlags::MS_MOVE)?;
    boot.sys.chroot(".")?;
    // Mounts that an engine makes must propagate to containerd and to the other containers.
    boot.remount("", "/", MsFlags::MS_SHARED | MsFlags::MS_REC)
}

//! A guest of a few MiB: busybox and dropbear below a Debian kernel, started by a shell script.
//!
//! `mmdebstrap` downloads the packages once. If it is not installed, and `HARNESS_TEST_TREE` does not name an
//! unpacked tree, the tests that need a guest fail with a message that names it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The packages of the tree.
const PACKAGES: &str = "busybox-static,dropbear-bin,linux-image-cloud-amd64";
/// The libraries of dropbear.
const LIBRARIES: [&str; 6] = [
    "libtomcrypt.so.1",
    "libgmp.so.10",
    "libtommath.so.1",
    "libcrypt.so.1",
    "libz.so.1",
    "libc.so.6",
];
/// The kernel modules of the network card and the disks in load order; NVMe is built in.
const MODULES: [&str; 11] = [
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/block/virtio_blk",
    "drivers/scsi/scsi_common",
    "drivers/scsi/scsi_mod",
    "drivers/scsi/sd_mod",
    "drivers/scsi/virtio_scsi",
    "drivers/ata/libata",
    "drivers/ata/libahci",
    "drivers/ata/ahci",
];

/// Its password.
pub(crate) const PASSWORD: &str = "rancher";

/// PID 1.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts; mount -t devpts pts /dev/pts
event() {
    for port in /sys/class/virtio-ports/*; do
        [ "$(cat "$port/name")" = io.rancher.os.boot ] || continue
        read up rest < /proc/uptime
        echo "{\"stage\":\"$1\",\"seconds\":$up,\"ok\":true}" > "/dev/${port##*/}"
    done
}
has() { grep -qw "$1" /proc/cmdline; }
has test.silent || event init
has test.panic && { sleep 1; echo c > /proc/sysrq-trigger; }
for module in /modules/*; do insmod "$module"; done
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
hostname rancher
chmod 666 /proc/sysrq-trigger /dev/vd? /dev/sd? /dev/nvme?n? 2>/dev/null
# Those that come later; it looks at those that are there, too.
echo '.* 0:0 666' > /etc/mdev.conf; mdev -d
mount -t vfat /dev/vda /mnt 2>/dev/null
dropbear -R -p 22
while :; do getty -L ttyS0 115200 vt100; done &
has test.silent || event started
echo "test guest started"
has test.second_card && while :; do ifconfig eth1 10.0.3.15 netmask 255.255.255.0 up; sleep 1; done 2>/dev/null
while :; do sleep 3600; done
"#;

/// Kernel and initrd.
#[derive(Clone)]
pub(crate) struct Guest {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
}

/// The guest, built at the first call.
pub(crate) fn get() -> Guest {
    static MADE: OnceLock<Result<Guest, String>> = OnceLock::new();
    match MADE.get_or_init(make) {
        Ok(guest) => guest.clone(),
        Err(why) => panic!("no guest to boot: {why}; hint: run `ci/setup tests`"),
    }
}

fn make() -> Result<Guest, String> {
    let tree = tree()?;
    let kernel = first(&tree.join("boot"), "vmlinuz-")?;
    let mut archive = Vec::new();
    for folder in [
        "bin",
        "dev",
        "etc",
        "etc/dropbear",
        "home",
        "lib",
        "lib64",
        "mnt",
        "modules",
        "proc",
        "root",
        "sys",
        "tmp",
        "var",
        "var/run",
        "run",
    ] {
        let mode = if folder == "tmp" {
            0o041_777
        } else {
            0o040_755
        };
        entry(&mut archive, folder, mode, b"");
    }
    for (path, mode, content) in files(&tree)? {
        entry(&mut archive, &path, 0o100_000 | mode, &content);
    }
    entry(&mut archive, "TRAILER!!!", 0, b"");
    // Replace it by a rename, because another process may boot the existing one.
    let initrd = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest.cpio");
    let unfinished = initrd.with_extension(std::process::id().to_string());
    fs::write(&unfinished, archive).map_err(|e| e.to_string())?;
    fs::rename(&unfinished, &initrd).map_err(|e| e.to_string())?;
    Ok(Guest { kernel, initrd })
}

fn tree() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("HARNESS_TEST_TREE") {
        return Ok(given.into());
    }
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tree");
    if tree.join("boot").is_dir() {
        return Ok(tree);
    }
    let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|e| e.to_string())?;
    let made = Command::new("mmdebstrap")
        .args([
            "--variant=extract",
            "--format=directory",
            "--include",
            PACKAGES,
            "trixie",
        ])
        .arg(fresh.path())
        .output()
        .map_err(|e| format!("mmdebstrap: {e}"))?;
    if !made.status.success() {
        return Err(format!(
            "mmdebstrap: {}",
            String::from_utf8_lossy(&made.stderr)
        ));
    }
    // Another process may have created the same tree first.
    if fs::rename(fresh.path(), &tree).is_ok() {
        let _ = fresh.keep();
    }
    Ok(tree)
}

fn files(tree: &Path) -> Result<Vec<(String, u32, Vec<u8>)>, String> {
    let mut files = vec![("init".to_owned(), 0o755, INIT.into())];
    let mut copy = |from: &Path, to: String| -> Result<(), String> {
        let content = fs::read(from).map_err(|e| format!("{}: {e}", from.display()))?;
        let mode = from
            .metadata()
            .map_or(0o755, |m| m.permissions().mode() & 0o7777);
        files.push((to, mode, content));
        Ok(())
    };
    copy(&tree.join("usr/bin/busybox"), "bin/busybox".into())?;
    copy(&tree.join("usr/sbin/dropbear"), "bin/dropbear".into())?;
    let libraries = tree.join("usr/lib/x86_64-linux-gnu");
    copy(
        &libraries.join("ld-linux-x86-64.so.2"),
        "lib64/ld-linux-x86-64.so.2".into(),
    )?;
    for name in LIBRARIES {
        copy(&libraries.join(name), format!("lib/{name}"))?;
    }
    let kernel = first(&tree.join("usr/lib/modules"), "")?.join("kernel");
    for (number, module) in MODULES.iter().enumerate() {
        copy(
            &kernel.join(format!("{module}.ko.xz")),
            format!("modules/{number:02}.ko.xz"),
        )?;
    }
    files.push((
        "etc/passwd".into(),
        0o644,
        format!(
            "root:*:0:0::/root:/bin/sh\nrancher:{}:1100:1100::/tmp:/bin/sh\n",
            hash()?
        )
        .into(),
    ));
    files.push((
        "etc/group".into(),
        0o644,
        b"root:x:0:\nrancher:x:1100:\n".into(),
    ));
    files.push(("etc/shells".into(), 0o644, b"/bin/sh\n".into()));
    Ok(files)
}

/// The password as the guest stores it.
fn hash() -> Result<String, String> {
    let made = Command::new("openssl")
        .args(["passwd", "-6", PASSWORD])
        .output();
    let made = made.map_err(|e| format!("openssl: {e}"))?;
    Ok(String::from_utf8_lossy(&made.stdout).trim().to_owned())
}

fn first(folder: &Path, prefix: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .ok_or_else(|| format!("nothing in {}", folder.display()))
}

/// One file of a newc archive.
fn entry(archive: &mut Vec<u8>, path: &str, mode: u32, content: &[u8]) {
    let fields = [
        0,
        mode,
        0,
        0,
        1,
        0,
        content.len() as u32,
        0,
        0,
        0,
        0,
        path.len() as u32 + 1,
        0,
    ];
    archive.extend(b"070701");
    archive.extend(
        fields
            .iter()
            .flat_map(|field| format!("{field:08x}").into_bytes()),
    );
    archive.extend(path.bytes().chain([0]));
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

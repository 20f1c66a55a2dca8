//! The options of a mount, and whether it is mounted already.

use config::Mount;

/// Options of fstab(5) that mount(8) or an init system evaluates, and a file system does not know.
const NOT_OF_FILE_SYSTEMS: [&str; 12] = [
    "_netdev",
    "auto",
    "defaults",
    "group",
    "noauto",
    "nofail",
    "nouser",
    "owner",
    "sw",
    "user",
    "users",
    "nobootwait",
];

/// The options for the file system itself, separated by commas.
pub(crate) fn options(mount: &Mount) -> String {
    let own = mount.options.iter().map(String::as_str);
    let own = own.filter(|one| !NOT_OF_FILE_SYSTEMS.contains(one));
    let own = own.filter(|one| !one.starts_with("x-") && !one.starts_with("comment="));
    let own: Vec<_> = own.collect();
    if own.is_empty() {
        "rw".into()
    } else {
        own.join(",")
    }
}

/// Whether a device is mounted on a folder, by the text of proc_pid_mountinfo(5). The kernel omits the
/// last `/` of `HOST:/PATH/`.
pub(crate) fn is_mounted(mountinfo: &str, folder: &str, device: &str) -> bool {
    let device = device.trim_end_matches('/');
    mountinfo.lines().any(|line| {
        let target = line.split(' ').nth(4);
        let source = line
            .split(" - ")
            .nth(1)
            .and_then(|rest| rest.split(' ').nth(1));
        target == Some(folder) && source.map(|of| of.trim_end_matches('/')) == Some(device)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_the_file_system() {
        let of = |text: &str| options(&text.parse().unwrap());
        assert_eq!(of("/dev/vdb /mnt ext4 defaults,nofail"), "rw");
        let mixed = "/dev/vdb /mnt ext4 noatime,x-systemd.automount,_netdev,comment=a";
        assert_eq!(of(mixed), "noatime");
    }

    #[test]
    fn is_mounted_compares_device_and_folder() {
        let mounts = "30 1 254:16 / /tree/mnt rw shared:3 - ext4 /dev/vdb rw\n";
        assert!(is_mounted(mounts, "/tree/mnt", "/dev/vdb"));
        assert!(!is_mounted(mounts, "/tree/mnt", "/dev/vdc"));
        assert!(!is_mounted(mounts, "/tree/mnt/data", "/dev/vdb"));
    }
}

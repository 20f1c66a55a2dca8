//! Device nodes that exist before their driver is loaded: opening one makes the kernel load it.

use sys::{Node, Result};

use crate::boot::Boot;

/// The folder of the kernel modules.
const MODULES: &str = "/usr/lib/modules";

/// Group IDs of the root's `/etc/group`.
const DISK: u32 = 6;
const KVM: u32 = 106;

/// Nodes that other users than root may open, each with group and mode. `mdev.conf` has the same, for when
/// the driver is loaded.
const SHARED: [(&str, u32, u32); 6] = [
    ("btrfs-control", DISK, 0o660),
    ("fuse", 0, 0o666),
    ("loop-control", DISK, 0o660),
    ("net/tun", 0, 0o666),
    ("vhost-net", KVM, 0o660),
    ("vhost-vsock", KVM, 0o660),
];

/// Creates the nodes that `modules.devname` lists. A line is `MODULE NAME TYPEMAJOR:MINOR`.
pub(crate) fn static_nodes(boot: &mut Boot<'_>) -> Result<()> {
    let release = boot.sys.read("/proc/sys/kernel/osrelease")?;
    let list = format!("{MODULES}/{}/modules.devname", release.trim());
    let list = boot.sys.read(&list)?;
    for (name, node) in list.lines().filter_map(parse) {
        let path = format!("/dev/{name}");
        if let Some((folder, _)) = name.rsplit_once('/') {
            boot.sys.create_dir(&format!("/dev/{folder}"))?;
        }
        boot.sys.create_node(&path, node)?;
    }
    Ok(())
}

fn parse(line: &str) -> Option<(&str, Node)> {
    let mut words = line.split_whitespace().skip(1);
    let (name, number) = (words.next()?, words.next()?);
    let (kind, number) = number.split_at_checked(1)?;
    let (major, minor) = number.split_once(':')?;
    let shared = SHARED.iter().find(|(shared, ..)| *shared == name);
    let (_, group, mode) = shared.copied().unwrap_or((name, 0, 0o600));
    let node = Node {
        block: kind == "b",
        number: (major.parse().ok()?, minor.parse().ok()?),
        mode,
        group,
    };
    Some((name, node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_restricts_a_node_to_root_unless_it_is_shared() {
        let tun = Node {
            block: false,
            number: (10, 200),
            mode: 0o666,
            group: 0,
        };
        assert_eq!(parse("tun net/tun c10:200"), Some(("net/tun", tun)));
        let (_, other) = parse("x x b7:1").unwrap();
        assert!(other.block && other.mode == 0o600);
        assert_eq!(parse("# a comment"), None);
        assert_eq!(parse("x x c7"), None);
    }
}

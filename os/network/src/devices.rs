//! The machine's network interfaces.

use std::collections::BTreeMap;
use std::path::Path;

/// The kernel's list of interfaces.
pub(crate) const FOLDER: &str = "/sys/class/net";

/// Types of interfaces that have the hardware address of another one (`DEVTYPE` in their `uevent`).
const BORROWERS: [&str; 3] = ["bond", "bridge", "vlan"];

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its own hardware address; empty if it has the address of another interface.
    pub(crate) address: String,
    /// The kernel's index; indexes increase in the order of creation.
    pub(crate) index: u32,
    /// The bridge or bond that it is part of.
    pub(crate) master: Option<String>,
}

/// Interfaces by name.
pub(crate) type Devices = BTreeMap<String, Device>;

/// The current interfaces, except for the loopback interface, which cannot be configured.
pub(crate) fn all() -> Result<Devices, String> {
    in_folder(FOLDER.as_ref()).map_err(|error| format!("{FOLDER}: {error}"))
}

/// The interface of a name.
pub(crate) fn one(name: &str) -> Option<Device> {
    read(&Path::new(FOLDER).join(name))
}

fn in_folder(folder: &Path) -> std::io::Result<Devices> {
    let mut found = BTreeMap::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(device) = read(&entry.path())
            && name != "lo"
        {
            found.insert(name, device);
        }
    }
    Ok(found)
}

/// Reads an interface. Returns `None` if it was removed meanwhile, or for other files (`bonding_masters`).
fn read(folder: &Path) -> Option<Device> {
    let text = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).ok()?;
        Some(text.trim().to_owned())
    };
    let address = text("address")?;
    let uevent = text("uevent").unwrap_or_default();
    let kind = uevent
        .lines()
        .find_map(|line| line.strip_prefix("DEVTYPE="));
    let borrows = kind.is_some_and(|kind| BORROWERS.contains(&kind));
    // The kernel replaces the address of an interface in a bond with the bond's.
    let own = text("bonding_slave/perm_hwaddr").unwrap_or(address);
    let master = std::fs::read_link(folder.join("master")).ok();
    let master = master.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    Some(Device {
        address: if borrows { String::new() } else { own },
        index: text("ifindex")?.parse().ok()?,
        master,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(folder: &Path, name: &str, files: &[(&str, &str)]) {
        for (file, text) in [("address", "52:54:00:00:00:01\n"), ("ifindex", "2\n")]
            .iter()
            .chain(files)
        {
            let path = folder.join(name).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn devices_exclude_loopback_and_other_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["eth0", "lo"] {
            add(folder.path(), name, &[]);
        }
        std::fs::write(folder.path().join("bonding_masters"), "").unwrap();
        let found = in_folder(folder.path()).unwrap();
        let device = Device {
            address: "52:54:00:00:00:01".into(),
            index: 2,
            master: None,
        };
        assert_eq!(found, [("eth0".into(), device)].into());
    }

    #[test]
    fn device_address_is_its_own_hardware_address() {
        let folder = tempfile::tempdir().unwrap();
        add(
            folder.path(),
            "lab",
            &[("uevent", "DEVTYPE=vlan\nINTERFACE=lab\n")],
        );
        let own = "52:54:00:00:00:07\n";
        add(folder.path(), "eth1", &[("bonding_slave/perm_hwaddr", own)]);
        std::os::unix::fs::symlink("../bond0", folder.path().join("eth1/master")).unwrap();
        let found = in_folder(folder.path()).unwrap();
        assert_eq!(found["lab"].address, "");
        assert_eq!(found["eth1"].address, own.trim());
        assert_eq!(found["eth1"].master.as_deref(), Some("bond0"));
    }
}

//! The interfaces that the machine has.

use std::collections::BTreeMap;
use std::path::Path;

/// Where the kernel lists them.
const FOLDER: &str = "/sys/class/net";

/// The names of interfaces, each with its hardware address.
pub type Devices = BTreeMap<String, String>;

/// Those that are there now. The one to itself is nobody's to configure.
pub fn all() -> Result<Devices, String> {
    in_folder(FOLDER.as_ref()).map_err(|error| format!("{FOLDER}: {error}"))
}

fn in_folder(folder: &Path) -> std::io::Result<Devices> {
    let mut found = BTreeMap::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        // One that went meanwhile has none, and neither has a file among them (`bonding_masters`).
        let Ok(address) = std::fs::read_to_string(entry.path().join("address")) else {
            continue;
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "lo" {
            found.insert(name, address.trim().to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_an_address_is_an_interface() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["eth0", "lo"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(
                folder.path().join(name).join("address"),
                "52:54:00:00:00:01\n",
            )
            .unwrap();
        }
        std::fs::write(folder.path().join("bonding_masters"), "").unwrap();
        let found = in_folder(folder.path()).unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("eth0".into(), "52:54:00:00:00:01".into())]
        );
    }
}

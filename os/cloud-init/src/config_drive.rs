//! The config drive: a volume labelled `config-2` with `openstack/latest/user_data`, as OpenStack
//! makes it (its "Metadata service" and "Config drives" guides).

use std::path::Path;
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// The volume's label; FAT keeps labels in capitals.
const LABELS: [&str; 2] = ["LABEL=config-2", "LABEL=CONFIG-2"];

/// File systems that a config drive may have.
const FILE_SYSTEMS: [&str; 2] = ["iso9660", "vfat"];

/// Where user-data lies in the volume.
const USER_DATA: &str = "openstack/latest/user_data";

/// The user-data of the config drive, or `None` where there is no such volume or it holds none.
pub fn user_data(mount_point: &str) -> Result<Option<String>, String> {
    let Some(device) = LABELS.iter().find_map(|label| find(label)) else {
        return Ok(None);
    };
    std::fs::create_dir_all(mount_point).map_err(|error| format!("{mount_point}: {error}"))?;
    mount_volume(&device, mount_point)?;
    let path = Path::new(mount_point).join(USER_DATA);
    let read = match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    };
    // It stays mounted at most until this container ends.
    let _ = umount2(mount_point, MntFlags::MNT_DETACH);
    read
}

fn find(label: &str) -> Option<String> {
    let output = Command::new("findfs")
        .arg(label)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !device.is_empty()).then_some(device)
}

fn mount_volume(device: &str, mount_point: &str) -> Result<(), String> {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mut errors = Vec::new();
    for kind in FILE_SYSTEMS {
        match mount(Some(device), mount_point, Some(kind), flags, None::<&str>) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(format!("{kind}: {error}")),
        }
    }
    Err(format!(
        "the config drive {device} cannot be mounted: {}",
        errors.join(", ")
    ))
}

//! Volumes: the config drive as OpenStack makes it (its guides "Metadata service" and "Config
//! drives"), and NoCloud (the manual of cloud-init, "NoCloud").

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_yaml::Value;

use super::Found;

/// File systems that such a volume may have.
const FILE_SYSTEMS: [&str; 2] = ["iso9660", "vfat"];

/// The most bytes that are read of a file.
const LIMIT: u64 = 16 << 20;

/// What the config drive says, where there is one that says something.
pub(super) fn config_drive(mount_point: &str) -> Result<Option<Found>, String> {
    let read = |folder: &Path| {
        let folder = folder.join("openstack/latest");
        let about = read(&folder.join("meta_data.json"));
        said(read(&folder.join("user_data")), about)
    };
    mounted("config-2", mount_point, read)
}

/// What a volume `cidata` says, where there is one that says something.
pub(super) fn no_cloud(mount_point: &str) -> Result<Option<Found>, String> {
    let read = |folder: &Path| {
        let about = read(&folder.join("meta-data"));
        said(read(&folder.join("user-data")), about)
    };
    mounted("cidata", mount_point, read)
}

/// What is read of a file of the volume: nothing where it is not there.
type Content = Result<Option<Vec<u8>>, String>;

/// User-data, and what is said about the machine beside it: JSON, which is YAML, too. Neither takes the
/// other along.
fn said(user_data: Content, about: Content) -> Result<Option<Found>, String> {
    let mut problems = Vec::new();
    let about = match (&user_data, &about) {
        (Ok(None), Ok(None)) => return Ok(None),
        (Err(why), Ok(None)) | (Ok(None) | Err(_), Err(why)) => return Err(why.clone()),
        (Ok(Some(_)), Err(why)) => Err(why.clone()),
        (_, Ok(about)) => text(about.as_deref().unwrap_or_default())
            .and_then(|about| config::written::read(&about).map_err(|error| error.to_string()))
            .map_err(|error| format!("the meta-data: {error}; it is ignored")),
    };
    let about = about.unwrap_or_else(|why| {
        problems.push(why);
        Value::Null
    });
    let name = ["local-hostname", "hostname"]
        .iter()
        .find_map(|key| config::written::text(about.get(*key)?));
    Ok(Some(Found {
        user_data: user_data.transpose(),
        keys: ["public_keys", "public-keys"]
            .iter()
            .flat_map(|key| keys(about.get(*key)))
            .collect(),
        hostname: name,
        instance: ["instance-id", "uuid"]
            .iter()
            .find_map(|key| config::written::text(about.get(*key)?)),
        problems,
    }))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// Keys by name, as a list, or as one text.
fn keys(value: Option<&Value>) -> Vec<String> {
    let list: Vec<&Value> = match value {
        Some(Value::Mapping(named)) => named.values().collect(),
        Some(Value::Sequence(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => vec![],
    };
    let lines = list
        .into_iter()
        .filter_map(Value::as_str)
        .flat_map(str::lines);
    let lines = lines.map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

fn read(path: &Path) -> Content {
    let in_file = |error: std::io::Error| format!("{}: {error}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(in_file(error)),
        Ok(found) if found.len() > LIMIT => Err(format!(
            "{}: it is more than {} MiB",
            path.display(),
            LIMIT >> 20
        )),
        Ok(_) => std::fs::read(path).map(Some).map_err(in_file),
    }
}

/// Reads a volume by its label, where there is one.
fn mounted(
    label: &str,
    mount_point: &str,
    read: impl Fn(&Path) -> Result<Option<Found>, String>,
) -> Result<Option<Found>, String> {
    // FAT keeps labels in capitals.
    let Some(device) = find(label).or_else(|| find(&label.to_uppercase())) else {
        return Ok(None);
    };
    std::fs::create_dir_all(mount_point).map_err(|error| format!("{mount_point}: {error}"))?;
    mount_volume(&device, mount_point)?;
    let said = read(&PathBuf::from(mount_point));
    // It stays mounted at most until this container ends.
    let _ = umount2(mount_point, MntFlags::MNT_DETACH);
    said
}

fn find(label: &str) -> Option<String> {
    let output = Command::new("findfs")
        .arg(format!("LABEL={label}"))
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
    Err(format!("{device} cannot be mounted: {}", errors.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(text: &str) -> Found {
        said(Ok(None), Ok(Some(text.into()))).unwrap().unwrap()
    }

    #[test]
    fn what_cannot_be_read_takes_nothing_along() {
        let folder = tempfile::tempdir().unwrap();
        let (large, keys) = (folder.path().join("user_data"), folder.path().join("keys"));
        let file = std::fs::File::create(&large).unwrap();
        file.set_len(LIMIT + 1).unwrap();
        std::fs::write(&keys, "public-keys: [k1]\n").unwrap();
        let found = said(read(&large), read(&keys)).unwrap().unwrap();
        assert_eq!(found.keys, ["k1"]);
        let why = found.user_data.unwrap().unwrap_err();
        assert!(why.ends_with("user_data: it is more than 16 MiB"), "{why}");
        let found = said(read(&keys), read(&large)).unwrap().unwrap();
        assert_eq!(found.user_data, Some(Ok("public-keys: [k1]\n".into())));
        assert!(found.problems[0].ends_with("it is more than 16 MiB"));
        assert!(said(read(&large), Ok(None)).is_err(), "nothing was said");
    }

    #[test]
    fn keys_and_name_are_found_as_each_cloud_writes_them() {
        let openstack = about(r#"{"hostname": "pot", "public_keys": {"me": "k1\n", "it": "k2"}}"#);
        assert_eq!(
            (openstack.keys, openstack.hostname.as_deref()),
            (vec!["k1".into(), "k2".into()], Some("pot"))
        );
        let no_cloud = about("instance-id: 1\nlocal-hostname: pot\npublic-keys:\n- k1\n- k2\n");
        assert_eq!(
            (no_cloud.keys.len(), no_cloud.hostname.as_deref()),
            (2, Some("pot"))
        );
        assert_eq!(about("public-keys: |\n  k1\n  k2\n").keys, ["k1", "k2"]);
        assert_eq!(about("a: [\n").problems.len(), 1);
        assert_eq!(said(Ok(None), Ok(None)), Ok(None));
    }
}

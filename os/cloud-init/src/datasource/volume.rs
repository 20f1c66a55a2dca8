//! Volumes: the config drive of OpenStack (its guides "Metadata service" and "Config drives"), and
//! NoCloud (the manual of cloud-init, "NoCloud").

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_yaml::Value;

use super::Answer;

/// The file systems that such a volume may have.
const FILE_SYSTEMS: [&str; 2] = ["iso9660", "vfat"];

/// The maximum size of a file, in bytes.
const LIMIT: u64 = 16 << 20;

/// The data of the config drive, if there is one.
pub(super) fn config_drive(mount_point: &str) -> Result<Option<Answer>, String> {
    let read = |folder: &Path| {
        let folder = folder.join("openstack/latest");
        let metadata = read(&folder.join("meta_data.json"));
        combined(read(&folder.join("user_data")), metadata)
    };
    mounted("config-2", mount_point, read)
}

/// The data of the volume `cidata`, if there is one.
pub(super) fn no_cloud(mount_point: &str) -> Result<Option<Answer>, String> {
    let read = |folder: &Path| {
        let metadata = read(&folder.join("meta-data"));
        combined(read(&folder.join("user-data")), metadata)
    };
    mounted("cidata", mount_point, read)
}

/// The content of a file, or `None` if it does not exist.
type Content = Result<Option<Vec<u8>>, String>;

/// Combines user-data and metadata (JSON, which is also YAML). If one of them cannot be read, the other
/// one is used.
fn combined(user_data: Content, metadata: Content) -> Result<Option<Answer>, String> {
    let mut problems = Vec::new();
    let metadata = match (&user_data, &metadata) {
        (Ok(None), Ok(None)) => return Ok(None),
        (Err(error), Ok(None)) | (Ok(None) | Err(_), Err(error)) => return Err(error.clone()),
        (Ok(Some(_)), Err(error)) => Err(error.clone()),
        (_, Ok(metadata)) => text(metadata.as_deref().unwrap_or_default())
            .and_then(|text| config::verbatim::parse(&text).map_err(|error| error.to_string()))
            .map_err(|error| format!("ignored: invalid metadata: {error}")),
    };
    let metadata = metadata.unwrap_or_else(|error| {
        problems.push(error);
        Value::Null
    });
    let first_text = |keys: [&str; 2]| {
        keys.iter()
            .find_map(|key| config::verbatim::text(metadata.get(*key)?))
    };
    Ok(Some(Answer {
        user_data: user_data.transpose(),
        keys: ["public_keys", "public-keys"]
            .iter()
            .flat_map(|key| keys(metadata.get(*key)))
            .collect(),
        hostname: first_text(["local-hostname", "hostname"]),
        instance: first_text(["instance-id", "uuid"]),
        problems,
    }))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// SSH keys: a mapping from names to keys, a list, or a text.
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
    let with_path = |error: std::io::Error| format!("{}: {error}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(with_path(error)),
        Ok(found) if found.len() > LIMIT => Err(format!(
            "{}: larger than {} MiB",
            path.display(),
            LIMIT >> 20
        )),
        Ok(_) => std::fs::read(path).map(Some).map_err(with_path),
    }
}

/// Mounts the volume with a label, if there is one, and reads it.
fn mounted(
    label: &str,
    mount_point: &str,
    read: impl Fn(&Path) -> Result<Option<Answer>, String>,
) -> Result<Option<Answer>, String> {
    // FAT stores labels in capitals.
    let Some(device) = find(label).or_else(|| find(&label.to_uppercase())) else {
        return Ok(None);
    };
    std::fs::create_dir_all(mount_point).map_err(|error| format!("{mount_point}: {error}"))?;
    mount_volume(&device, mount_point)?;
    let answer = read(&PathBuf::from(mount_point));
    // If this fails, the volume stays mounted until this container exits.
    let _ = umount2(mount_point, MntFlags::MNT_DETACH);
    answer
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
    Err(format!("failed to mount {device}: {}", errors.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(text: &str) -> Answer {
        combined(Ok(None), Ok(Some(text.into()))).unwrap().unwrap()
    }

    #[test]
    fn file_that_cannot_be_read_does_not_affect_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let (large, keys) = (folder.path().join("user_data"), folder.path().join("keys"));
        let file = std::fs::File::create(&large).unwrap();
        file.set_len(LIMIT + 1).unwrap();
        std::fs::write(&keys, "public-keys: [k1]\n").unwrap();
        let answer = combined(read(&large), read(&keys)).unwrap().unwrap();
        assert_eq!(answer.keys, ["k1"]);
        let error = answer.user_data.unwrap().unwrap_err();
        assert!(error.ends_with("user_data: larger than 16 MiB"), "{error}");
        let answer = combined(read(&keys), read(&large)).unwrap().unwrap();
        assert_eq!(answer.user_data, Some(Ok("public-keys: [k1]\n".into())));
        assert!(answer.problems[0].ends_with("larger than 16 MiB"));
        assert!(combined(read(&large), Ok(None)).is_err(), "no data");
    }

    #[test]
    fn metadata_is_read_in_the_formats_of_openstack_and_nocloud() {
        let openstack =
            metadata(r#"{"hostname": "pot", "public_keys": {"me": "k1\n", "it": "k2"}}"#);
        assert_eq!(
            (openstack.keys, openstack.hostname.as_deref()),
            (vec!["k1".into(), "k2".into()], Some("pot"))
        );
        let no_cloud = metadata("instance-id: 1\nlocal-hostname: pot\npublic-keys:\n- k1\n- k2\n");
        assert_eq!(
            (no_cloud.keys.len(), no_cloud.hostname.as_deref()),
            (2, Some("pot"))
        );
        assert_eq!(metadata("public-keys: |\n  k1\n  k2\n").keys, ["k1", "k2"]);
        assert_eq!(metadata("a: [\n").problems.len(), 1);
        assert_eq!(combined(Ok(None), Ok(None)), Ok(None));
    }
}

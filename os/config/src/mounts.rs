//! The key `mounts`: file systems and swap, in the format of fstab(5) and of cloud-init.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of fields in fstab(5). The last two, for `dump` and `fsck`, are read and not used.
const FIELDS: usize = 6;

/// Top-level folders below which nothing can be mounted, because they belong to the console's image,
/// which hides them, or to the kernel.
const RESERVED: [&str; 14] = [
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys",
    "tmp", "usr",
];

/// A mount: `[DEVICE, FOLDER, TYPE, OPTIONS]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// A path, `LABEL=…`, `UUID=…`, `PARTLABEL=…`, or, for a network mount, `HOST:/PATH` or
    /// `//HOST/SHARE`.
    pub device: String,
    /// The mount point; `none` for swap.
    pub folder: String,
    /// The file system type; `auto` detects it.
    pub kind: String,
    /// Options as in mount(8).
    pub options: Vec<String>,
}

impl Mount {
    /// Whether it is swap.
    pub fn is_swap(&self) -> bool {
        self.kind == "swap"
    }

    /// Whether it is a network mount.
    pub fn is_remote(&self) -> bool {
        ["nfs", "nfs4", "cifs", "smb3"].contains(&self.kind.as_str()) || self.has("_netdev")
    }

    /// Whether an option is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|one| one == option)
    }

    fn new(mut fields: Vec<String>) -> Result<Self, String> {
        if !(2..=FIELDS).contains(&fields.len()) {
            return Err(
                "a mount must be a list such as `[/dev/vdb, /mnt/data, ext4, defaults]`".into(),
            );
        }
        fields.resize(FIELDS, String::new());
        let [device, folder, kind, options, ..] = fields.as_slice() else {
            return Err("a mount must have a device and a folder".into());
        };
        let options = options.split(',').map(str::trim);
        let mut mount = Self {
            device: device.trim().to_owned(),
            folder: folder.trim().to_owned(),
            kind: kind.trim().to_owned(),
            options: options
                .filter(|one| !one.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        if mount.kind.is_empty() {
            mount.kind = "auto".into();
        }
        if mount.kind == "auto" && mount.device.starts_with("//") {
            mount.kind = "cifs".into();
        } else if mount.kind == "auto" && is_nfs(&mount.device) {
            mount.kind = "nfs".into();
        }
        mount.check()?;
        Ok(mount)
    }

    fn check(&self) -> Result<(), String> {
        if self.device.is_empty() || self.device.contains(char::is_whitespace) {
            return Err(format!("`{}` is not a device", self.device));
        }
        if self.is_swap() {
            return Ok(());
        }
        let folder = &self.folder;
        let mut parts = folder.split('/');
        if parts.next() != Some("") || folder.split('/').any(|part| part == "." || part == "..") {
            return Err(format!("`{folder}` is not an absolute path"));
        }
        match parts.find(|part| !part.is_empty()) {
            None => Err("nothing can be mounted on `/`".into()),
            Some(first) if RESERVED.contains(&first) => Err(format!(
                "nothing can be mounted below `/{first}`; hint: use a folder below /home, /mnt, /media, \
                 /opt or /srv, a new top-level folder, or /var/lib/docker"
            )),
            Some(_) => Ok(()),
        }
    }
}

/// Whether a device is an NFS export, `HOST:/PATH`.
fn is_nfs(device: &str) -> bool {
    let host = device.split_once(":/").map_or("", |(host, _)| host);
    !host.is_empty() && !host.contains(['/', '='])
}

impl FromStr for Mount {
    type Err = String;

    /// Parses a line of fstab(5).
    fn from_str(line: &str) -> Result<Self, String> {
        Self::new(line.split_whitespace().map(str::to_owned).collect())
    }
}

impl Serialize for Mount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = self.options.join(",");
        let mut fields = serializer.serialize_seq(None)?;
        for field in [&self.device, &self.folder, &self.kind, &options] {
            fields.serialize_element(field)?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Mount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list such as `[/dev/vdb, /mnt/data, ext4, defaults]`")
    }

    fn visit_str<E: Error>(self, line: &str) -> Result<Mount, E> {
        line.parse()
            .map_err(|_| E::invalid_type(Unexpected::Str(line), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Mount, A::Error> {
        let mut fields = Vec::new();
        while let Some(value) = items.next_element::<serde_yaml::Value>()? {
            fields.push(match value {
                serde_yaml::Value::String(text) => text,
                serde_yaml::Value::Number(number) => number.to_string(),
                serde_yaml::Value::Null => String::new(),
                _ => return Err(A::Error::custom("a field of a mount must be text")),
            });
        }
        Mount::new(fields).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Mount, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn mount_is_read_from_fstab_lines_and_cloud_init_lists() {
        let mount = read("[LABEL=DATA, /mnt/data, ext4, 'noatime,nofail', '0', 2]").unwrap();
        assert_eq!(
            (mount.kind.as_str(), mount.folder.as_str()),
            ("ext4", "/mnt/data")
        );
        assert!(mount.has("nofail") && !mount.is_remote() && !mount.is_swap());
        assert_eq!(
            read("/dev/vdb /srv").unwrap(),
            read("[/dev/vdb, /srv, null]").unwrap()
        );
        assert!(read("[/dev/vdc, none, swap, sw, 0, 0]").unwrap().is_swap());
        for (remote, kind) in [
            ("nas:/export", "nfs"),
            ("//nas/share", "cifs"),
            ("10.0.0.9:/", "nfs"),
        ] {
            let mount = read(&format!("['{remote}', /mnt/nas]")).unwrap();
            assert_eq!(mount.kind, kind);
            assert!(mount.is_remote());
        }
        let written = serde_yaml::to_string(&mount).unwrap();
        assert_eq!(read(&written).unwrap(), mount);
    }

    #[test]
    fn invalid_mount_is_rejected_with_a_hint() {
        for (text, expected) in [
            ("[/dev/vdb]", "must be a list such as"),
            ("[/dev/vdb, data]", "`data` is not an absolute path"),
            ("[/dev/vdb, /mnt/../etc]", "not an absolute path"),
            ("[/dev/vdb, /]", "on `/`"),
            (
                "[/dev/vdb, /etc/app]",
                "below `/etc`; hint: use a folder below /home",
            ),
            ("['', /mnt]", "is not a device"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

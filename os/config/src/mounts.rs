//! File systems and swap that are mounted at boot, in the words of fstab(5) and of cloud-init.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Fields of fstab(5): the last two say how `dump` and `fsck` treat it, and are read and not used.
const FIELDS: usize = 6;

/// First folders of the tree that nothing is mounted below: they are the console's image, and hidden by
/// it, or the kernel's.
const IMAGE: [&str; 14] = [
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys",
    "tmp", "usr",
];

/// One of them: `[DEVICE, FOLDER, TYPE, OPTIONS]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// A path, `LABEL=…`, `UUID=…`, `PARTLABEL=…`, or `HOST:/PATH` and `//HOST/SHARE` of a network.
    pub device: String,
    /// Where; `none` for swap.
    pub folder: String,
    /// The file system; `auto` looks at what is on the device.
    pub kind: String,
    /// Options as in mount(8).
    pub options: Vec<String>,
}

impl Mount {
    /// Whether it is memory, and no folder.
    pub fn is_swap(&self) -> bool {
        self.kind == "swap"
    }

    /// Whether it comes over the network.
    pub fn is_remote(&self) -> bool {
        ["nfs", "nfs4", "cifs", "smb3"].contains(&self.kind.as_str()) || self.has("_netdev")
    }

    /// Whether it has an option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|one| one == option)
    }

    fn new(mut fields: Vec<String>) -> Result<Self, String> {
        if !(2..=FIELDS).contains(&fields.len()) {
            return Err("a mount is a list such as `[/dev/vdb, /mnt/data, ext4, defaults]`".into());
        }
        fields.resize(FIELDS, String::new());
        let [device, folder, kind, options, ..] = fields.as_slice() else {
            return Err("a mount has a device and a folder".into());
        };
        let or = |text: &str, other: &str| {
            if text.trim().is_empty() {
                other
            } else {
                text.trim()
            }
            .to_owned()
        };
        let split = options.split(',').map(str::trim);
        let mut mount = Self {
            device: or(device, ""),
            folder: or(folder, ""),
            kind: or(kind, "auto"),
            options: split
                .filter(|one| !one.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        let remote = |text: &str| {
            let host = text.split_once(":/").map_or("", |(host, _)| host);
            !host.is_empty() && !host.contains(['/', '='])
        };
        if mount.kind == "auto" && mount.device.starts_with("//") {
            mount.kind = "cifs".into();
        } else if mount.kind == "auto" && remote(&mount.device) {
            mount.kind = "nfs".into();
        }
        mount.check()?;
        Ok(mount)
    }

    fn check(&self) -> Result<(), String> {
        if self.device.is_empty() || self.device.contains(char::is_whitespace) {
            return Err(format!("`{}` is no device", self.device));
        }
        if self.is_swap() {
            return Ok(());
        }
        let folder = &self.folder;
        let mut parts = folder.split('/');
        if parts.next() != Some("") || folder.split('/').any(|part| part == "." || part == "..") {
            return Err(format!("`{folder}` is no absolute path"));
        }
        match parts.find(|part| !part.is_empty()) {
            None => Err("nothing can be mounted on `/`".into()),
            Some(first) if IMAGE.contains(&first) => Err(format!(
                "nothing can be mounted below `/{first}`; hint: mount it below /home, /mnt, /media, /opt, \
                 /srv or a folder of its own, or on /var/lib/docker"
            )),
            Some(_) => Ok(()),
        }
    }
}

impl FromStr for Mount {
    type Err = String;

    /// A line of fstab(5).
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
                _ => return Err(A::Error::custom("a field of a mount is no text")),
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
    fn mounts_are_read_as_fstab_and_cloud_init_have_them() {
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
    fn mounts_that_make_no_sense_are_refused_with_what_to_do() {
        for (wrong, why) in [
            ("[/dev/vdb]", "is a list such as"),
            ("[/dev/vdb, data]", "`data` is no absolute path"),
            ("[/dev/vdb, /mnt/../etc]", "no absolute path"),
            ("[/dev/vdb, /]", "on `/`"),
            (
                "[/dev/vdb, /etc/app]",
                "below `/etc`; hint: mount it below /home",
            ),
            ("['', /mnt]", "is no device"),
        ] {
            let told = read(wrong).unwrap_err();
            assert!(told.contains(why), "{wrong}: {told}");
        }
    }
}

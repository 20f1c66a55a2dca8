//! `rancherctl dev`: finds devices by label or UUID, with the links of udev and mdev below `/dev/disk`.

use std::path::{Path, PathBuf};

use clap::Args;

/// `rancherctl dev`.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// LABEL=…, UUID=…, PARTLABEL=…, PARTUUID=…, or a path
    device: String,
}

impl Dev {
    /// Prints the path of the device.
    ///
    /// # Errors
    /// The device does not exist, or the name is not valid.
    pub(crate) fn run(self) -> Result<(), String> {
        let link = link(&self.device)?;
        let found = std::fs::canonicalize(&link)
            .map_err(|_| format!("device {} does not exist", self.device))?;
        println!("{}", found.display());
        Ok(())
    }
}

fn link(device: &str) -> Result<PathBuf, String> {
    if device.starts_with('/') {
        return Ok(device.into());
    }
    let invalid = || {
        format!(
            "`{device}` is not a device; hint: write LABEL=…, UUID=…, PARTLABEL=…, PARTUUID=… or a path"
        )
    };
    let (kind, name) = device.split_once('=').ok_or_else(invalid)?;
    let folder = match kind {
        "LABEL" => "by-label",
        "UUID" => "by-uuid",
        "PARTLABEL" => "by-partlabel",
        "PARTUUID" => "by-partuuid",
        _ => return Err(invalid()),
    };
    if name.is_empty() {
        return Err(invalid());
    }
    Ok(Path::new("/dev/disk").join(folder).join(encoded(name)))
}

/// Encodes characters that are not allowed in such a link as `\xNN` (`blkid_encode_string` of libblkid).
fn encoded(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "#+-.:=@_".contains(letter);
    let mut encoded = String::new();
    for letter in name.chars() {
        if is_plain(letter) || !letter.is_ascii() {
            encoded.push(letter);
        } else {
            encoded.push_str(&format!("\\x{:02x}", u32::from(letter)));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_is_a_file_below_dev_disk() {
        let found = |device| link(device).map(|path| path.display().to_string());
        assert_eq!(found("LABEL=a b").unwrap(), r"/dev/disk/by-label/a\x20b");
        assert_eq!(found("LABEL=../x").unwrap(), r"/dev/disk/by-label/..\x2fx");
        assert_eq!(found("UUID=12-ab").unwrap(), "/dev/disk/by-uuid/12-ab");
        assert_eq!(found("/dev/vda").unwrap(), "/dev/vda");
        for wrong in ["LABEL=", "label=x", "vda", ""] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
    }
}

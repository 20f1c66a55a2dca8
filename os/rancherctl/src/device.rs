//! Devices by what is on them, as udev and mdev name them below `/dev/disk`.

use std::path::{Path, PathBuf};

use clap::Args;

/// `rancherctl dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// LABEL=, UUID=, PARTLABEL= or PARTUUID= and what it is, or a path
    device: String,
}

impl Dev {
    /// Prints the path of the device.
    ///
    /// # Errors
    /// There is none, or what was asked for is no name of one.
    pub fn run(self) -> Result<(), String> {
        let link = link(&self.device)?;
        let found = std::fs::canonicalize(&link)
            .map_err(|_| format!("there is no device {}", self.device))?;
        println!("{}", found.display());
        Ok(())
    }
}

fn link(device: &str) -> Result<PathBuf, String> {
    if device.starts_with('/') {
        return Ok(device.into());
    }
    let unknown =
        || format!("`{device}`: known are LABEL=, UUID=, PARTLABEL=, PARTUUID= and paths");
    let (kind, name) = device.split_once('=').ok_or_else(unknown)?;
    let folder = match kind {
        "LABEL" => "by-label",
        "UUID" => "by-uuid",
        "PARTLABEL" => "by-partlabel",
        "PARTUUID" => "by-partuuid",
        _ => return Err(unknown()),
    };
    if name.is_empty() {
        return Err(unknown());
    }
    Ok(Path::new("/dev/disk").join(folder).join(encoded(name)))
}

/// What cannot stand in the name of such a file is `\xNN` there (`blkid_encode_string` of libblkid).
fn encoded(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "#+-.:=@_".contains(letter);
    let mut encoded = String::new();
    for letter in name.chars() {
        match plain(letter) || !letter.is_ascii() {
            true => encoded.push(letter),
            false => encoded.push_str(&format!("\\x{:02x}", u32::from(letter))),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_files_of_one_folder() {
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

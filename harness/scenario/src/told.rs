//! What a machine is told by volumes and by a cloud's metadata.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::MachineFile;

/// What stands for the trial's key in what a machine is told.
pub const KEY_HERE: &str = "<ssh_key>";

impl MachineFile {
    /// Whether the trial's key is among what its volumes and its metadata say.
    pub fn tells_key(&self) -> bool {
        let files = self.volumes.iter().flat_map(|volume| volume.files.values());
        let pages = self.metadata.values().map(|page| &page.body);
        files.chain(pages).any(|text| text.contains(KEY_HERE))
    }
}

/// A volume that tells a machine something.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Volume")]
pub struct VolumeFile {
    /// Its label, e.g. `cidata`; at most 11 letters, 32 for `iso9660`.
    pub label: String,
    /// What its files hold, by their paths in the volume.
    pub files: BTreeMap<String, String>,
    /// Its file system: `fat` or `iso9660`.
    #[serde(default)]
    pub format: VolumeFormat,
}

/// The file system of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "FileSystemKind")]
pub enum VolumeFormat {
    /// FAT.
    #[default]
    Fat,
    /// ISO 9660 with long names, as clouds make it.
    Iso9660,
}

impl VolumeFormat {
    /// The most letters of a label: of FAT, and of ISO 9660 (ECMA-119, 8.4.7).
    pub(crate) fn longest_label(self) -> usize {
        match self {
            Self::Fat => 11,
            Self::Iso9660 => 32,
        }
    }
}

/// A page of a cloud's metadata.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Page")]
pub struct PageFile {
    /// How it is asked for.
    #[serde(default = "default_method")]
    pub method: String,
    /// What a request must say, by the names of headers; `*` is any value. Who says otherwise gets
    /// 401.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What is answered.
    pub body: String,
}

fn default_method() -> String {
    "GET".into()
}

//! Seed data: volumes with files, and pages of a cloud's metadata service.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::MachineFile;

/// The placeholder of the trial's key in seed data.
pub const KEY_PLACEHOLDER: &str = "<ssh_key>";

impl MachineFile {
    /// Whether a volume or a metadata page contains the placeholder of the trial's key.
    pub fn has_key_placeholder(&self) -> bool {
        let files = self.volumes.iter().flat_map(|volume| volume.files.values());
        let pages = self.metadata.values().map(|page| &page.body);
        files
            .chain(pages)
            .any(|text| text.contains(KEY_PLACEHOLDER))
    }
}

/// A read-only volume with files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Volume")]
pub struct VolumeFile {
    /// The label, e.g. `cidata`; at most 11 characters, 32 for `iso9660`.
    pub label: String,
    /// The contents of its files, by path in the volume.
    pub files: BTreeMap<String, String>,
    /// The file system: `fat` or `iso9660`.
    #[serde(default)]
    pub format: VolumeFormat,
}

/// The file system of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "FileSystemKind")]
pub enum VolumeFormat {
    /// FAT.
    #[default]
    Fat,
    /// ISO 9660 with long names, as clouds create it.
    Iso9660,
}

impl VolumeFormat {
    /// The longest label in characters: of FAT, and of ISO 9660 (ECMA-119, 8.4.7).
    pub(crate) fn longest_label(self) -> usize {
        match self {
            Self::Fat => 11,
            Self::Iso9660 => 32,
        }
    }
}

/// A page of a cloud's metadata service.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Page")]
pub struct PageFile {
    /// The HTTP method.
    #[serde(default = "default_method")]
    pub method: String,
    /// Required headers by name; `*` is any value. Other requests get status 401.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body of the response.
    pub body: String,
}

fn default_method() -> String {
    "GET".into()
}

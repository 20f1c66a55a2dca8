//! What a machine is told by volumes and by a cloud's metadata.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::MachineFile;
use crate::machine::{FileSystemKind, Metadata, Page, Volume};

/// What stands for the trial's key in what a machine is told.
const KEY_HERE: &str = "<ssh_key>";

impl MachineFile {
    /// Whether the trial's key is among what its volumes and its metadata say.
    pub fn tells_key(&self) -> bool {
        let files = self.volumes.iter().flat_map(|volume| volume.files.values());
        let pages = self.metadata.values().map(|page| &page.body);
        files.chain(pages).any(|text| text.contains(KEY_HERE))
    }

    /// Its volumes, with the trial's key.
    pub fn told_volumes(&self, key: &str) -> Vec<Volume> {
        let file = |(path, text): (&String, &String)| (path.clone(), text.replace(KEY_HERE, key));
        let volume = |volume: &VolumeFile| Volume {
            label: volume.label.clone(),
            files: volume.files.iter().map(file).collect(),
            file_system: volume.format,
        };
        self.volumes.iter().map(volume).collect()
    }

    /// Its metadata, with the trial's key.
    pub fn told_metadata(&self, key: &str) -> Metadata {
        let page = |(path, page): (&String, &PageFile)| {
            let page = Page {
                method: page.method.clone(),
                headers: page.headers.clone(),
                body: page.body.replace(KEY_HERE, key),
            };
            (path.clone(), page)
        };
        self.metadata.iter().map(page).collect()
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
    pub format: FileSystemKind,
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

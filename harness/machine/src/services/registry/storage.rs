//! The initial content of a registry, in the layout of the file system driver of `docker-registry`
//! (`registry/storage/paths.go` in its source).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use base::hash::sha256;

/// An OCI image as files.
#[derive(Debug, Clone)]
pub struct Image {
    /// Image name, without registry and tag.
    pub name: String,
    /// Tag. The registry serves the image as `latest` as well.
    pub tag: String,
    /// Configuration file.
    pub config: PathBuf,
    /// Layers as tar archives, the lowest first.
    pub layers: Vec<PathBuf>,
}

/// The content of a registry; it is never written to.
#[derive(Debug, Clone)]
pub struct Storage {
    images: Vec<Image>,
}

/// The media types of an OCI image (image-spec, `media-types.md`).
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

impl Storage {
    /// A registry that serves these images.
    pub fn new(images: Vec<Image>) -> Self {
        Self { images }
    }

    /// Each image with its configuration file, which identifies the content: it names the layers by
    /// hash.
    pub fn images(&self) -> impl Iterator<Item = (String, &Path)> {
        let reference = |image: &Image| format!("{}:{}", image.name, image.tag);
        let images = self.images.iter();
        images.map(move |image| (reference(image), image.config.as_path()))
    }

    /// Writes the content to a new folder. Layers are hard-linked if possible: a registry replaces files,
    /// and never writes into existing ones.
    pub(super) fn copy(&self, to: &Path) -> io::Result<()> {
        for image in &self.images {
            write(image, &to.join("docker/registry/v2"))?;
        }
        Ok(())
    }
}

fn write(image: &Image, root: &Path) -> io::Result<()> {
    let repository = root.join("repositories").join(&image.name);
    let blob = |file: &Path, kind: &str| -> io::Result<Value> {
        let hash = sha256(file)?;
        place(file, &data(root, &hash))?;
        link(&repository.join("_layers/sha256").join(&hash), &hash)?;
        let size = fs::metadata(file)?.len();
        Ok(json!({ "mediaType": kind, "digest": format!("sha256:{hash}"), "size": size }))
    };
    let layers = image.layers.iter().map(|layer| blob(layer, LAYER));
    let layers = layers.collect::<io::Result<Vec<_>>>()?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(&image.config, CONFIG)?,
        "layers": layers,
    });
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, manifest.to_string())?;
    let hash = sha256(file.path())?;
    place(file.path(), &data(root, &hash))?;
    let manifests = repository.join("_manifests");
    link(&manifests.join("revisions/sha256").join(&hash), &hash)?;
    for tag in [image.tag.as_str(), "latest"] {
        let tag = manifests.join("tags").join(tag);
        link(&tag.join("current"), &hash)?;
        link(&tag.join("index/sha256").join(&hash), &hash)?;
    }
    Ok(())
}

fn data(root: &Path, hash: &str) -> PathBuf {
    root.join("blobs/sha256")
        .join(&hash[..2])
        .join(hash)
        .join("data")
}

fn place(file: &Path, at: &Path) -> io::Result<()> {
    if let Some(folder) = at.parent() {
        fs::create_dir_all(folder)?;
    }
    if at.exists() {
        return Ok(());
    }
    fs::hard_link(file, at).or_else(|_| fs::copy(file, at).map(drop))
}

fn link(folder: &Path, hash: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("link"), format!("sha256:{hash}"))
}

//! Writes the system images as archives for `docker load`. The format is that of `docker save` (the
//! "Docker Image Specification v1.2"), but an archive contains only the image's own layer. Docker does not
//! read layers that it has, so the base image must be loaded first.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cache::sha256;
use crate::definition::{Definition, ROOT};
use crate::packages::Packages;
use crate::tree::{Node, Tree};
use crate::{BuildError, Context, Result, root};

/// The tag of all system images: the version of the OS.
pub(crate) const TAG: &str = env!("CARGO_PKG_VERSION");

/// The `PATH` of system containers.
const SEARCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image that is being built.
struct Image {
    /// The files of all layers.
    merged: Tree,
    /// The SHA-256 of each layer's tar archive, lowest first.
    layers: Vec<String>,
}

/// The archives of all definitions except the root, by name.
pub(crate) fn images(
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut images: BTreeMap<&str, Image> = BTreeMap::new();
    let mut archives = BTreeMap::new();
    for definition in in_order(definitions)? {
        let mut archive = Tree::default();
        let image = add_layer(definition, packages, &images, &mut archive)?;
        add_metadata(definition, &image, &mut archive)?;
        let mut bytes = Vec::new();
        archive.write_tar(&mut bytes)?;
        archives.insert(definition.name.clone(), bytes);
        images.insert(&definition.name, image);
    }
    Ok(archives)
}

/// Definitions of images, each after its base image.
fn in_order(definitions: &BTreeMap<String, Definition>) -> Result<Vec<&Definition>> {
    let mut open: Vec<&Definition> = definitions
        .values()
        .filter(|one| one.name != ROOT)
        .collect();
    let mut ordered: Vec<&Definition> = Vec::new();
    while !open.is_empty() {
        let (ready, waiting): (Vec<_>, Vec<_>) = open.into_iter().partition(|one| {
            one.from
                .as_ref()
                .is_none_or(|from| ordered.iter().any(|done| &done.name == from))
        });
        if ready.is_empty() {
            let names: Vec<_> = waiting.iter().map(|one| one.name.as_str()).collect();
            let cause = format!("{} are based on each other", names.join(", "));
            return Err(BuildError::new("order the images", cause));
        }
        ordered.extend(ready);
        open = waiting;
    }
    Ok(ordered)
}

/// Adds the layer of an image to its archive, if the image has files of its own.
fn add_layer(
    definition: &Definition,
    packages: &Packages,
    images: &BTreeMap<&str, Image>,
    archive: &mut Tree,
) -> Result<Image> {
    let base = definition.from.as_deref().and_then(|from| images.get(from));
    let mut image = match base {
        Some(base) => Image {
            merged: base.merged.clone(),
            layers: base.layers.clone(),
        },
        None => Image {
            merged: Tree::default(),
            layers: Vec::new(),
        },
    };
    let own = root::content(definition, packages, &image.merged)?;
    if own.iter().next().is_some() {
        let mut layer = Vec::new();
        own.write_tar(&mut layer)?;
        let id = sha256(layer.as_slice()).context(|| "hash a layer".into())?;
        archive.insert(format!("{id}.tar"), Node::Bytes(layer, 0o644));
        image.layers.push(id);
        for (path, node) in own.iter() {
            image.merged.insert(path, node.clone());
        }
    }
    Ok(image)
}

/// The name of an image, without a tag.
pub(crate) fn reference(definition: &Definition) -> String {
    format!("rancher/os-{}", definition.name)
}

/// The configuration of an image; `layers` are the hashes of its layers' tar archives, lowest first.
pub(crate) fn config(definition: &Definition, layers: &[String]) -> Result<Vec<u8>> {
    let layers: Vec<String> = layers.iter().map(|id| format!("sha256:{id}")).collect();
    let mut run =
        json!({ "Env": [SEARCH_PATH], "Labels": { "io.rancher.os.image": definition.name } });
    if definition.entrypoint.is_empty() {
        run["Cmd"] = json!(["/bin/sh"]);
    } else {
        run["Entrypoint"] = json!(definition.entrypoint);
    }
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": run,
        "rootfs": { "type": "layers", "diff_ids": layers },
    });
    serde_json::to_vec(&config).context(|| "write an image's config".into())
}

/// Adds the configuration of an image and `manifest.json` to its archive.
fn add_metadata(definition: &Definition, image: &Image, archive: &mut Tree) -> Result<()> {
    let config = config(definition, &image.layers)?;
    let id = sha256(config.as_slice()).context(|| "hash an image's config".into())?;
    archive.insert(format!("{id}.json"), Node::Bytes(config, 0o644));
    let manifest = json!([{
        "Config": format!("{id}.json"),
        "RepoTags": [format!("{}:{TAG}", reference(definition))],
        "Layers": image.layers.iter().map(|id| format!("{id}.tar")).collect::<Vec<_>>(),
    }]);
    let manifest = serde_json::to_vec(&manifest).context(|| "write manifest.json".into())?;
    archive.insert("manifest.json", Node::Bytes(manifest, 0o644));
    Ok(())
}

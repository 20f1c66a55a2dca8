//! The manifest of the artifacts: their contents and sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cache::{sha256, write_atomically};
use crate::definition::Definition;
use crate::packages::{Packages, SUITE};
use crate::tree::{Node, Tree};
use crate::{Artifacts, Context, Layout, Result, archive, root};

/// `dist/artifacts/manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the OS.
    pub version: String,
    /// The Debian release of the packages.
    pub suite: String,
    /// The kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// The packages that files come from.
    pub packages: Vec<Package>,
    /// The SHA-256 of the artifacts, by file name.
    pub sha256: BTreeMap<String, String>,
    /// The identity of the inputs.
    pub stamp: String,
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
}

/// The sizes of the artifacts as shipped, in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sizes {
    /// `vmlinuz`.
    pub kernel: u64,
    /// `initrd`.
    pub initrd: u64,
    /// The part of the initrd that is neither kernel modules nor Docker's own programs.
    pub rest: u64,
}

/// Docker's own programs, by path in the root.
const DOCKER: [&str; 5] = [
    "usr/sbin/dockerd",
    "usr/bin/docker",
    "usr/bin/containerd",
    "usr/bin/containerd-shim-runc-v2",
    "usr/bin/crun",
];

/// The identity of the inputs of an initrd.
pub(crate) fn stamp(large: &Path, small: &[u8]) -> Result<String> {
    let small = sha256(small).context(|| "hash the programs".into())?;
    Ok(format!(
        "{} {small}",
        large.file_name().unwrap_or_default().to_string_lossy()
    ))
}

/// Whether the artifacts are complete and were built from the inputs of `stamp`.
pub(crate) fn is_current(artifacts: &Artifacts, stamp: &str) -> bool {
    let Ok(text) = std::fs::read(&artifacts.manifest) else {
        return false;
    };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else {
        return false;
    };
    manifest.stamp == stamp && hashes(artifacts).is_ok_and(|now| now == manifest.sha256)
}

fn hashes(artifacts: &Artifacts) -> std::io::Result<BTreeMap<String, String>> {
    [&artifacts.kernel, &artifacts.initrd]
        .into_iter()
        .map(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Ok((name, sha256(std::fs::File::open(path)?)?))
        })
        .collect()
}

/// Writes the manifest of new artifacts.
pub(crate) fn write(
    artifacts: &Artifacts,
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
    kernel: &str,
    stamp: String,
) -> Result<()> {
    let manifest = Manifest {
        version: archive::TAG.into(),
        suite: SUITE.into(),
        kernel: kernel.into(),
        packages: contributing(definitions, packages)?.into_iter().collect(),
        sha256: hashes(artifacts).context(|| "hash the artifacts".into())?,
        stamp,
    };
    let mut text = serde_json::to_vec_pretty(&manifest).context(|| "write the manifest".into())?;
    text.push(b'\n');
    write_atomically(&artifacts.manifest, |file| {
        std::io::Write::write_all(file, &text).context(|| "write the manifest".into())
    })
}

/// The packages that at least one file comes from.
fn contributing(
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
) -> Result<BTreeSet<Package>> {
    let mut found = BTreeSet::new();
    for definition in definitions.values() {
        let tree = root::content(definition, packages, &Tree::default())?;
        for (_, node) in tree.iter() {
            let Node::File(source, _) = node else {
                continue;
            };
            let inside = source.strip_prefix(&packages.root).ok();
            found.extend(inside.and_then(|path| packages.owner(path)));
        }
        for name in &definition.packages {
            // Kernel modules and certificates are selected by name, not by path.
            found.extend(packages.by_name(name));
        }
    }
    Ok(found)
}

/// Measures the artifacts. The size of Docker and the modules is measured by packing them separately.
pub(crate) fn sizes(
    layout: &Layout,
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
) -> Result<Sizes> {
    let size = |path: &Path| {
        std::fs::metadata(path)
            .map(|metadata| metadata.len())
            .context(|| format!("measure {}", path.display()))
    };
    let (kernel, initrd) = (
        size(&layout.artifacts.join("vmlinuz"))?,
        size(&layout.artifacts.join("initrd"))?,
    );
    let scratch = tempfile::tempdir_in(&layout.cache).context(|| "create a folder".into())?;
    let engine = scratch.path().join("engine.squashfs");
    let tree = root::root_tree(definitions, packages)?;
    let mut only_engine = Tree::default();
    for (path, node) in tree.iter() {
        let module = path.starts_with("usr/lib/modules");
        if module || DOCKER.iter().any(|docker| path == Path::new(docker)) {
            only_engine.insert(path, node.clone());
        }
    }
    root::squash(&only_engine, &engine)?;
    Ok(Sizes {
        kernel,
        initrd,
        rest: initrd.saturating_sub(size(&engine)?),
    })
}

//! The manifest beside the artifacts: what is inside, and what it weighs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cache::{sha256, write_whole};
use crate::definition::Definition;
use crate::packages::{Packages, SUITE};
use crate::tree::{Node, Tree};
use crate::{Artifacts, Context, Layout, Result, archive, root};

/// `dist/artifacts/manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the OS.
    pub version: String,
    /// Debian release that the packages come from.
    pub suite: String,
    /// Kernel release, as `uname -r` says it.
    pub kernel: String,
    /// Packages that something inside comes from.
    pub packages: Vec<Package>,
    /// SHA-256 of the artifacts, by file name.
    pub sha256: BTreeMap<String, String>,
    /// Identity of what the artifacts were made from.
    pub stamp: String,
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What the artifacts weigh, in bytes as shipped.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sizes {
    /// `vmlinuz`.
    pub kernel: u64,
    /// `initrd`.
    pub initrd: u64,
    /// What of the initrd is neither kernel modules nor Docker's own programs.
    pub rest: u64,
}

/// Docker's own programs: what its engine is, by path in the root.
const DOCKER: [&str; 5] = [
    "usr/sbin/dockerd",
    "usr/bin/docker",
    "usr/bin/containerd",
    "usr/bin/containerd-shim-runc-v2",
    "usr/bin/crun",
];

/// Identity of what an initrd is made from.
pub fn stamp(large: &Path, small: &[u8]) -> Result<String> {
    let small = sha256(small).context(|| "hash the programs".into())?;
    Ok(format!(
        "{} {small}",
        large.file_name().unwrap_or_default().to_string_lossy()
    ))
}

/// Whether the artifacts are whole and were made from `stamp`.
pub fn is_current(artifacts: &Artifacts, stamp: &str) -> bool {
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

/// Writes the manifest of artifacts that have just been written.
pub fn write(
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
    write_whole(&artifacts.manifest, |file| {
        std::io::Write::write_all(file, &text).context(|| "write the manifest".into())
    })
}

/// Packages that at least one file inside comes from.
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
            // Kernel modules and certificates are taken by name, not by path.
            found.extend(packages.by_name(name));
        }
    }
    Ok(found)
}

/// Weighs the artifacts, and packs Docker and the modules alone to know what is left without them.
pub fn sizes(
    layout: &Layout,
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
) -> Result<Sizes> {
    let weigh = |path: &Path| {
        std::fs::metadata(path)
            .map(|about| about.len())
            .context(|| format!("weigh {}", path.display()))
    };
    let (kernel, initrd) = (
        weigh(&layout.artifacts.join("vmlinuz"))?,
        weigh(&layout.artifacts.join("initrd"))?,
    );
    let scratch = tempfile::tempdir_in(&layout.cache).context(|| "make a folder".into())?;
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
        rest: initrd.saturating_sub(weigh(&engine)?),
    })
}

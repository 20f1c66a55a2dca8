//! Puts the artifacts together: the kernel, and one initrd of several archives. The small one, with
//! the programs of `os/`, comes last and is all that changes with a Rust file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;

use crate::cache::write_whole;
use crate::definition::Definition;
use crate::manifest;
use crate::modules::Kernel;
use crate::packages::Packages;
use crate::tree::{Node, Tree};
use crate::{Artifacts, Context, Layout, Result, binaries};

/// The level at which the programs pack well and still in a blink.
const LEVEL: i32 = 9;

/// Archives begin at multiples of this (buffer-format.rst in the kernel's documentation).
const ALIGNMENT: usize = 4;

/// Writes `dist/artifacts`, but for what is there already.
pub fn assemble(
    layout: &Layout,
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
    large: &Path,
    programs: &Path,
) -> Result<Artifacts> {
    let artifacts = Artifacts {
        kernel: layout.artifacts.join("vmlinuz"),
        initrd: layout.artifacts.join("initrd"),
        manifest: layout.artifacts.join("manifest.json"),
    };
    let small = small_archive(programs)?;
    let stamp = manifest::stamp(large, &small)?;
    if manifest::is_current(&artifacts, &stamp) {
        return Ok(artifacts);
    }
    let kernel = Kernel::find(packages)?;
    write_whole(&artifacts.kernel, |file| copy(&kernel.image, file))?;
    write_whole(&artifacts.initrd, |file| {
        copy(large, file)?;
        append(file, &small)
    })?;
    manifest::write(&artifacts, definitions, packages, &kernel.release, stamp)?;
    Ok(artifacts)
}

/// The programs of `os/`, as a compressed cpio archive.
fn small_archive(programs: &Path) -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    tree.insert("rancher/rancheros", Node::File(programs.into(), 0o755));
    for name in binaries::PROGRAMS {
        tree.insert(
            Path::new("rancher").join(name),
            Node::Link("rancheros".into()),
        );
    }
    // What the kernel starts.
    tree.insert("init", Node::Link("rancher/init".into()));
    compressed(&tree, LEVEL)
}

/// A cpio archive, compressed by zstd at a level.
pub fn compressed(tree: &Tree, level: i32) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    tree.write_cpio(&mut plain)?;
    zstd::encode_all(plain.as_slice(), level).context(|| "compress a cpio archive".into())
}

/// Writes one more archive behind those that are in `file`.
pub fn append(file: &mut File, archive: &[u8]) -> Result<()> {
    let step = || "write a cpio archive".to_owned();
    let end = file.stream_position().context(step)? as usize;
    let padding = end.next_multiple_of(ALIGNMENT) - end;
    file.write_all(&[0; ALIGNMENT][..padding]).context(step)?;
    file.write_all(archive).context(step)
}

fn copy(from: &Path, to: &mut File) -> Result<()> {
    let step = || format!("copy {}", from.display());
    let mut source = File::open(from).context(step)?;
    std::io::copy(&mut source, to).context(step)?;
    Ok(())
}

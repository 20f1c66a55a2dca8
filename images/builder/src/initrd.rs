//! Assembles the artifacts: the kernel, and an initrd that consists of several archives. The small
//! archive with the programs of `os/` comes last; only it changes when a Rust file changes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;

use crate::cache::write_atomically;
use crate::definition::Definition;
use crate::manifest;
use crate::modules::Kernel;
use crate::packages::Packages;
use crate::tree::{Node, Tree};
use crate::{Artifacts, Context, Layout, Result, binaries};

/// The compression level of the programs, a compromise between size and build time.
const LEVEL: i32 = 9;

/// The alignment of archives, in bytes (buffer-format.rst in the kernel's documentation).
const ALIGNMENT: usize = 4;

/// Writes `dist/artifacts`, unless it is up to date.
pub(crate) fn assemble(
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
    write_atomically(&artifacts.kernel, |file| copy(&kernel.image, file))?;
    write_atomically(&artifacts.initrd, |file| {
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
    // The kernel starts `/init`.
    tree.insert("init", Node::Link("rancher/init".into()));
    compressed(&tree, LEVEL)
}

/// A cpio archive, compressed by zstd.
pub(crate) fn compressed(tree: &Tree, level: i32) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    tree.write_cpio(&mut plain)?;
    zstd::encode_all(plain.as_slice(), level).context(|| "compress a cpio archive".into())
}

/// Appends an archive to a file of archives.
pub(crate) fn append(file: &mut File, archive: &[u8]) -> Result<()> {
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

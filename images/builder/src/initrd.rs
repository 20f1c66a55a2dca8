//! Puts the artifacts together: the kernel, and one initrd of two archives. The small one, with the
//! programs of `os/`, comes last and is all that changes with a Rust file.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::cache::write_whole;
use crate::definition::Definition;
use crate::manifest;
use crate::modules::Kernel;
use crate::packages::Packages;
use crate::tree::{Node, Tree};
use crate::{Artifacts, Context, Layout, Result};

/// The level at which the small archive packs well and still in a blink.
const LEVEL: i32 = 9;

/// Archives begin at multiples of this (buffer-format.rst in the kernel's documentation).
const ALIGNMENT: usize = 4;

/// Writes `dist/artifacts`, but for what is there already.
pub fn assemble(
    layout: &Layout,
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
    large: &Path,
    binaries: &[PathBuf],
) -> Result<Artifacts> {
    let artifacts = Artifacts {
        kernel: layout.artifacts.join("vmlinuz"),
        initrd: layout.artifacts.join("initrd"),
        manifest: layout.artifacts.join("manifest.json"),
    };
    let small = small_archive(binaries)?;
    let stamp = manifest::stamp(large, &small)?;
    if manifest::is_current(&artifacts, &stamp) {
        return Ok(artifacts);
    }
    let kernel = Kernel::find(packages)?;
    write_whole(&artifacts.kernel, |file| copy(&kernel.image, file))?;
    write_whole(&artifacts.initrd, |file| {
        copy(large, file)?;
        let step = || "write the initrd".to_owned();
        let end = file.stream_position().context(step)? as usize;
        let padding = end.next_multiple_of(ALIGNMENT) - end;
        file.write_all(&[0; ALIGNMENT][..padding]).context(step)?;
        file.write_all(&small).context(step)
    })?;
    manifest::write(&artifacts, definitions, packages, &kernel.release, stamp)?;
    Ok(artifacts)
}

/// The programs of `os/`, as a compressed cpio archive.
pub fn small_archive(binaries: &[PathBuf]) -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    for binary in binaries {
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        tree.insert(place(&name), Node::File(binary.clone(), 0o755));
    }
    tree.insert("init", Node::Link("rancher/init".into()));
    let mut plain = Vec::new();
    tree.write_cpio(&mut plain)?;
    zstd::encode_all(plain.as_slice(), LEVEL).context(|| "compress the programs".into())
}

/// All programs lie together; what the kernel starts is a link to one of them.
fn place(name: &str) -> PathBuf {
    Path::new("rancher").join(name)
}

fn copy(from: &Path, to: &mut std::fs::File) -> Result<()> {
    let step = || format!("copy {}", from.display());
    let mut source = std::fs::File::open(from).context(step)?;
    std::io::copy(&mut source, to).context(step)?;
    Ok(())
}

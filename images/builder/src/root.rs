//! Builds the large part of the initrd: an archive with the squashfs root, which contains the system
//! images, and an archive with the kernel modules that are needed to mount it and a busybox for errors.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::{self, Key};
use crate::definition::{Definition, ROOT};
use crate::modules::Kernel;
use crate::packages::Packages;
use crate::tree::{Node, Tree, octal};
use crate::{BuildError, Context, Layout, Progress, Result, archive, initrd, libraries, program};

/// The version of the code that packs the root; part of the cache key.
const VERSION: u32 = 7;

/// The highest regular level of zstd, because the result is cached.
const LEVEL: i32 = 19;

/// The block size of the squashfs. An emulated boot takes 10 % longer with 32K and 3 % longer with 128K,
/// and the root is 3 MB larger, because Docker's programs are read almost completely.
const BLOCK: &str = "512K";

/// Builds the large archive, unless it is cached.
pub(crate) fn archive(
    layout: &Layout,
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf> {
    let mut key = Key::new("root", VERSION);
    key.add(packages.fingerprint()).add(archive::TAG);
    for definition in definitions.values() {
        key.add(&definition.name).add_folder(&definition.folder)?;
    }
    let path = layout.cache.join(format!("root-{}.cpio", key.finish()));
    if path.is_file() {
        progress(Progress::Cached("root"));
        return Ok(path);
    }
    progress(Progress::Started("root"));
    let scratch = tempfile::tempdir_in(&layout.cache).context(|| "create a folder".into())?;
    let squashfs = scratch.path().join("root.squashfs");
    let root = root_tree(definitions, packages)?;
    squash(&root, &squashfs)?;
    // Not compressed again: the squashfs is compressed, and decompression would slow down the boot.
    let mut large = Tree::default();
    large.insert("root.squashfs", Node::File(squashfs, 0o644));
    let early = initrd::compressed(&early_tree(definitions, packages)?, LEVEL)?;
    cache::write_atomically(&path, |file| {
        large.write_cpio(std::io::BufWriter::new(&mut *file))?;
        initrd::append(file, &early)
    })?;
    cache::remove_others(&layout.cache, "root-", &path);
    progress(Progress::Finished("root"));
    Ok(path)
}

/// All files of the squashfs.
pub(crate) fn root_tree(
    definitions: &BTreeMap<String, Definition>,
    packages: &Packages,
) -> Result<Tree> {
    let definition = &definitions[ROOT];
    let mut tree = content(definition, packages, &Tree::default())?;
    Kernel::find(packages)?.install(&definition.modules, &mut tree)?;
    for (name, archive) in archive::images(definitions, packages)? {
        tree.insert(
            format!("usr/share/rancher/images/{name}.tar"),
            Node::Bytes(archive, 0o644),
        );
    }
    Ok(tree)
}

/// The files that PID 1 needs before it mounts the root.
fn early_tree(definitions: &BTreeMap<String, Definition>, packages: &Packages) -> Result<Tree> {
    let mut tree = Tree::default();
    let early = Kernel::find(packages)?.in_order(&definitions[ROOT].modules.early)?;
    for (number, (name, content)) in early.into_iter().enumerate() {
        tree.insert(
            format!("modules/{number:02}-{name}.ko"),
            Node::Bytes(content, 0o644),
        );
    }
    tree.insert_from("rancher/busybox", &packages.root.join("usr/bin/busybox"))?;
    Ok(tree)
}

/// The files that a definition adds to its base image, `below`.
pub(crate) fn content(definition: &Definition, packages: &Packages, below: &Tree) -> Result<Tree> {
    let mut tree = Tree::default();
    let taken = take(definition, &packages.root)?;
    for path in &taken {
        tree.insert_from(path, &packages.root.join(path))?;
    }
    for library in libraries::needed(&packages.root, &taken)? {
        if !below.contains(&library) {
            let source = libraries::real(&packages.root, &library)?;
            tree.insert_from(&library, &source)?;
        }
    }
    if let Some(path) = &definition.certificates {
        tree.insert(path, Node::Bytes(certificates(&packages.root)?, 0o644));
    }
    for (path, mode) in &definition.modes {
        tree.set_mode(path, octal(mode)?)?;
    }
    for (path, node) in own_entries(definition)?.iter() {
        tree.insert(path, node.clone());
    }
    if definition.applets {
        add_applets(definition, &packages.root, below, &mut tree)?;
    }
    Ok(tree)
}

/// The folders, links and files of a definition that do not come from packages.
pub(crate) fn own_entries(definition: &Definition) -> Result<Tree> {
    let mut tree = Tree::default();
    for (path, mode) in &definition.folders {
        tree.insert(path, Node::Folder(octal(mode)?));
    }
    for (path, target) in &definition.links {
        tree.insert(path, Node::Link(target.clone()));
    }
    tree.insert_folder_if_exists(&definition.files())?;
    Ok(tree)
}

fn take(definition: &Definition, root: &Path) -> Result<Vec<PathBuf>> {
    let mut taken = Vec::new();
    for pattern in &definition.take {
        let step = || format!("take {pattern} into image `{}`", definition.name);
        let full = root.join(pattern.trim_start_matches('/'));
        let before = taken.len();
        for path in glob::glob(&full.to_string_lossy()).context(step)? {
            let path = path.context(step)?;
            let inside = path.strip_prefix(root).context(step)?;
            if !path.is_dir() {
                taken.push(inside.to_path_buf());
            }
        }
        if taken.len() == before {
            return Err(BuildError::new(
                step(),
                "no package of the image contains such a file",
            ));
        }
    }
    Ok(taken)
}

/// The bundle that `update-ca-certificates` generates from Debian's `ca-certificates` if all are trusted.
fn certificates(root: &Path) -> Result<Vec<u8>> {
    let folder = root.join("usr/share/ca-certificates/mozilla");
    let mut all = Vec::new();
    for file in cache::files_below(&folder)? {
        all.extend(std::fs::read(folder.join(file)).context(|| "read certificates".into())?);
        all.push(b'\n');
    }
    Ok(all)
}

/// Adds a link for each busybox applet, unless another file of the image has its name.
fn add_applets(definition: &Definition, root: &Path, below: &Tree, tree: &mut Tree) -> Result<()> {
    let mut busybox = Command::new(root.join("usr/bin/busybox"));
    let list = program::output("list the applets of busybox", busybox.arg("--list"))?;
    for applet in String::from_utf8_lossy(&list).lines() {
        if definition
            .without_applets
            .iter()
            .any(|without| without == applet)
        {
            continue;
        }
        let names = [format!("usr/bin/{applet}"), format!("usr/sbin/{applet}")];
        if !names
            .iter()
            .any(|name| tree.contains(name.as_ref()) || below.contains(name.as_ref()))
        {
            tree.insert(&names[0], Node::Link("busybox".into()));
        }
    }
    Ok(())
}

/// Packs a tree into a squashfs; `mksquashfs` reads it as a tar archive.
pub(crate) fn squash(tree: &Tree, to: &Path) -> Result<()> {
    let step = "pack the root";
    // Not `sqfstar`, which ignores its compressor options up to version 4.5.1.
    let mut command = Command::new("mksquashfs");
    command
        .arg("-")
        .arg(to)
        .arg("-tar")
        .args([
            "-comp",
            "zstd",
            "-Xcompression-level",
            &LEVEL.to_string(),
            "-b",
            BLOCK,
        ])
        .args([
            "-no-progress",
            "-quiet",
            "-all-time",
            "0",
            "-mkfs-time",
            "0",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|e| program::start_error(step, &command, &e))?;
    let written = match child.stdin.take() {
        Some(stdin) => {
            let mut writer = std::io::BufWriter::new(stdin);
            tree.write_tar(&mut writer)
                .and_then(|()| writer.flush().context(|| step.into()))
        }
        None => Ok(()),
    };
    let result = child.wait_with_output().context(|| step.into())?;
    if !result.status.success() {
        return Err(program::exit_error(
            step,
            &command,
            result.status,
            &result.stderr,
        ));
    }
    written
}

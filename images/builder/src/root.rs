//! The large part of the initrd: an archive of the squashfs root with the system images inside, and
//! one of the kernel modules that are needed to mount it and a busybox for when it cannot be.

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

/// Changes when the code that packs the root does.
const VERSION: u32 = 7;

/// The best that zstd has for all: what is packed here is packed once and kept.
const LEVEL: i32 = 19;

/// The block size of the squashfs. An emulated boot takes a tenth longer with 32K and 3 % longer with
/// 128K, and the root is 3 MB larger: Docker's programs are read nearly whole.
const BLOCK: &str = "512K";

/// The large archive, made when it is not kept from before.
pub fn archive(
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
        progress(Progress::Kept("root"));
        return Ok(path);
    }
    progress(Progress::Begin("root"));
    let scratch = tempfile::tempdir_in(&layout.cache).context(|| "make a folder".into())?;
    let squashfs = scratch.path().join("root.squashfs");
    let root = root_tree(definitions, packages)?;
    squash(&root, &squashfs)?;
    // It is packed well already; a second time would cost the boot and gain nothing.
    let mut large = Tree::default();
    large.insert("root.squashfs", Node::File(squashfs, 0o644));
    let early = initrd::compressed(&early_tree(definitions, packages)?, LEVEL)?;
    cache::write_whole(&path, |file| {
        large.write_cpio(std::io::BufWriter::new(&mut *file))?;
        initrd::append(file, &early)
    })?;
    cache::sweep(&layout.cache, "root-", &path);
    progress(Progress::Done("root"));
    Ok(path)
}

/// Everything in the squashfs.
pub fn root_tree(definitions: &BTreeMap<String, Definition>, packages: &Packages) -> Result<Tree> {
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

/// What PID 1 needs before it has the root.
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

/// What a definition puts on top of `below`.
pub fn content(definition: &Definition, packages: &Packages, below: &Tree) -> Result<Tree> {
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
    for (path, node) in on_top(definition)?.iter() {
        tree.insert(path, node.clone());
    }
    if definition.applets {
        applets(definition, &packages.root, below, &mut tree)?;
    }
    Ok(tree)
}

/// What a definition has beside files of packages.
pub fn on_top(definition: &Definition) -> Result<Tree> {
    let mut tree = Tree::default();
    for (path, mode) in &definition.folders {
        tree.insert(path, Node::Folder(octal(mode)?));
    }
    for (path, target) in &definition.links {
        tree.insert(path, Node::Link(target.clone()));
    }
    tree.insert_folder_if_there(&definition.files())?;
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
                "none of its packages has such a file",
            ));
        }
    }
    Ok(taken)
}

/// What `update-ca-certificates` makes of Debian's `ca-certificates` when everything is trusted.
fn certificates(root: &Path) -> Result<Vec<u8>> {
    let folder = root.join("usr/share/ca-certificates/mozilla");
    let mut all = Vec::new();
    for file in cache::files_below(&folder)? {
        all.extend(std::fs::read(folder.join(file)).context(|| "read certificates".into())?);
        all.push(b'\n');
    }
    Ok(all)
}

/// A link for each of busybox's applets that nothing else in the image is called.
fn applets(definition: &Definition, root: &Path, below: &Tree, tree: &mut Tree) -> Result<()> {
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

/// Makes a squashfs of a tree (`mksquashfs` reads a tar archive).
pub fn squash(tree: &Tree, to: &Path) -> Result<()> {
    let step = "pack the root";
    // Not `sqfstar`, which up to 4.5.1 does not read its own compressor options.
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
        .map_err(|e| program::not_started(step, &command, &e))?;
    let fed = match child.stdin.take() {
        Some(stdin) => {
            let mut writer = std::io::BufWriter::new(stdin);
            tree.write_tar(&mut writer)
                .and_then(|()| writer.flush().context(|| step.into()))
        }
        None => Ok(()),
    };
    let result = child.wait_with_output().context(|| step.into())?;
    if !result.status.success() {
        return Err(program::ended(
            step,
            &command,
            result.status,
            &result.stderr,
        ));
    }
    fed
}

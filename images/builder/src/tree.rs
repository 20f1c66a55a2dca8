//! A file tree in memory, from which all archives are written. All entries belong to root and have no
//! timestamps.
//!
//! No files are unpacked on the build machine, so root is not needed and builds are reproducible.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{BuildError, Context, Result};

/// An entry of a tree.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// A folder with its mode.
    Folder(u32),
    /// A file on the build machine, with its mode in the tree.
    File(PathBuf, u32),
    /// A generated file with its mode.
    Bytes(Vec<u8>, u32),
    /// A symbolic link.
    Link(PathBuf),
}

/// Entries by path without a leading slash. Folders come before their contents.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tree(BTreeMap<PathBuf, Node>);

impl Tree {
    /// Adds an entry and its parent folders.
    pub(crate) fn insert(&mut self, path: impl AsRef<Path>, node: Node) {
        let path = path.as_ref();
        let path = path.strip_prefix("/").unwrap_or(path).to_path_buf();
        for above in path
            .ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
        {
            self.0.entry(above.into()).or_insert(Node::Folder(0o755));
        }
        self.0.insert(path, node);
    }

    /// Adds a file, folder or link of the build machine with its permission bits.
    pub(crate) fn insert_from(&mut self, path: impl AsRef<Path>, source: &Path) -> Result<()> {
        let step = || format!("read {}", source.display());
        let metadata = source.symlink_metadata().context(step)?;
        let mode = metadata.permissions().mode() & 0o7777;
        let node = if metadata.is_symlink() {
            Node::Link(source.read_link().context(step)?)
        } else if metadata.is_dir() {
            Node::Folder(mode)
        } else {
            Node::File(source.into(), mode)
        };
        self.insert(path, node);
        Ok(())
    }

    /// Adds the contents of a folder of the repository, if it exists. Modes are 0755 or 0644, because git
    /// stores no others.
    pub(crate) fn insert_folder_if_exists(&mut self, folder: &Path) -> Result<()> {
        if !folder.is_dir() {
            return Ok(());
        }
        for path in crate::cache::files_below(folder)? {
            self.insert_from(&path, &folder.join(&path))?;
            if let Some(Node::File(_, mode)) = self.0.get_mut(&path) {
                *mode = if *mode & 0o100 != 0 { 0o755 } else { 0o644 };
            }
        }
        Ok(())
    }

    /// Sets the mode of a file.
    pub(crate) fn set_mode(&mut self, path: &Path, new: u32) -> Result<()> {
        match self.0.get_mut(path.strip_prefix("/").unwrap_or(path)) {
            Some(Node::File(_, mode) | Node::Bytes(_, mode)) => *mode = new,
            _ => {
                return Err(BuildError::new(
                    format!("set the mode of {}", path.display()),
                    "the file does not exist",
                ));
            }
        }
        Ok(())
    }

    /// Whether an entry exists.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path.strip_prefix("/").unwrap_or(path))
    }

    /// All entries, folders first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Node)> {
        self.0.iter()
    }

    /// Writes the tree as a tar archive.
    pub(crate) fn write_tar(&self, to: impl Write) -> Result<()> {
        let mut builder = tar::Builder::new(to);
        for (path, node) in &self.0 {
            append(&mut builder, path, node).context(|| format!("pack {}", path.display()))?;
        }
        builder.finish().context(|| "finish a tar archive".into())
    }

    /// Writes the tree as a cpio archive in the kernel's format (newc; see
    /// Documentation/driver-api/early-userspace/buffer-format.rst in the kernel).
    pub(crate) fn write_cpio(&self, mut to: impl Write) -> Result<()> {
        for (number, (path, node)) in self.0.iter().enumerate() {
            append_cpio(&mut to, number, path, node)
                .context(|| format!("pack {}", path.display()))?;
        }
        cpio::newc::trailer(to).context(|| "finish a cpio archive".into())?;
        Ok(())
    }
}

fn append<W: Write>(
    builder: &mut tar::Builder<W>,
    path: &Path,
    node: &Node,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match node {
        Node::Folder(mode) => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(*mode);
            header.set_size(0);
            builder.append_data(&mut header, path, std::io::empty())
        }
        Node::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            builder.append_link(&mut header, path, target)
        }
        Node::File(source, mode) => {
            let file = std::fs::File::open(source)?;
            header.set_mode(*mode);
            header.set_size(file.metadata()?.len());
            builder.append_data(&mut header, path, file)
        }
        Node::Bytes(bytes, mode) => {
            header.set_mode(*mode);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, bytes.as_slice())
        }
    }
}

/// File type bits of a cpio mode, as in stat(2).
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

fn append_cpio(
    to: &mut impl Write,
    number: usize,
    path: &Path,
    node: &Node,
) -> std::io::Result<()> {
    let entry = cpio::newc::Builder::new(&path.to_string_lossy())
        .ino(number as u32 + 1)
        .uid(0)
        .gid(0);
    match node {
        Node::Folder(mode) => copy(
            entry.mode(S_IFDIR | mode).nlink(2),
            to,
            &mut std::io::empty(),
            0,
        ),
        Node::Link(target) => {
            let target = target.to_string_lossy();
            let size = target.len() as u64;
            copy(
                entry.mode(S_IFLNK | 0o777),
                to,
                &mut target.as_bytes(),
                size,
            )
        }
        Node::File(source, mode) => {
            let mut file = std::fs::File::open(source)?;
            let size = file.seek(std::io::SeekFrom::End(0))?;
            file.rewind()?;
            copy(entry.mode(S_IFREG | mode), to, &mut file, size)
        }
        Node::Bytes(bytes, mode) => copy(
            entry.mode(S_IFREG | mode),
            to,
            &mut bytes.as_slice(),
            bytes.len() as u64,
        ),
    }
}

fn copy(
    entry: cpio::newc::Builder,
    to: &mut impl Write,
    from: &mut impl Read,
    size: u64,
) -> std::io::Result<()> {
    let size = u32::try_from(size)
        .map_err(|_| std::io::Error::other("larger than 4 GiB, the limit of cpio"))?;
    let mut writer = entry.write(to, size);
    std::io::copy(from, &mut writer)?;
    writer.finish()?;
    Ok(())
}

/// Parses an octal mode.
pub(crate) fn octal(text: &str) -> Result<u32> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| BuildError::new("parse a mode", format!("`{text}` is not an octal mode")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_is_reproducible_and_folders_come_first() {
        let mut tree = Tree::default();
        tree.insert("/a/b/file", Node::Bytes(b"x".to_vec(), 0o644));
        tree.insert("a/link", Node::Link("b/file".into()));
        let paths: Vec<_> = tree
            .iter()
            .map(|(path, _)| path.display().to_string())
            .collect();
        assert_eq!(paths, ["a", "a/b", "a/b/file", "a/link"]);
        let (mut one, mut two) = (Vec::new(), Vec::new());
        tree.write_cpio(&mut one).unwrap();
        tree.write_cpio(&mut two).unwrap();
        assert_eq!(one, two);
        assert!(one.starts_with(b"070701"));
    }

    #[test]
    fn mode_is_parsed_as_octal() {
        assert_eq!(octal("1777").unwrap(), 0o1777);
        assert!(octal("8").is_err());
        assert!(octal("77777").is_err());
    }
}

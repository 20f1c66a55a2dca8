//! A file tree in memory, owned by root, with no times: what every archive is written from.
//!
//! Nothing is unpacked with the build user's rights, so no root is needed and the same input gives
//! the same bytes.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{BuildError, Context, Result};

/// One entry.
#[derive(Debug, Clone)]
pub enum Node {
    /// A folder with its mode.
    Folder(u32),
    /// A file on the build machine, with the mode it gets.
    File(PathBuf, u32),
    /// Bytes made here, with the mode they get.
    Bytes(Vec<u8>, u32),
    /// A symbolic link.
    Link(PathBuf),
}

/// Entries by path, without a leading slash; folders come before what is in them.
#[derive(Debug, Default, Clone)]
pub struct Tree(BTreeMap<PathBuf, Node>);

impl Tree {
    /// Puts an entry, with the folders above it.
    pub fn insert(&mut self, path: impl AsRef<Path>, node: Node) {
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

    /// Puts a copy of a file or link of the build machine; its permission bits are kept.
    pub fn insert_from(&mut self, path: impl AsRef<Path>, source: &Path) -> Result<()> {
        let step = || format!("read {}", source.display());
        let about = source.symlink_metadata().context(step)?;
        let node = if about.is_symlink() {
            Node::Link(source.read_link().context(step)?)
        } else if about.is_dir() {
            Node::Folder(about.permissions().mode() & 0o7777)
        } else {
            Node::File(source.into(), about.permissions().mode() & 0o7777)
        };
        self.insert(path, node);
        Ok(())
    }

    /// Puts everything below a folder that people edit, if there is one: modes are 0755 or 0644, as
    /// git keeps them.
    pub fn insert_folder_if_there(&mut self, folder: &Path) -> Result<()> {
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

    /// Gives a file another mode.
    pub fn set_mode(&mut self, path: &Path, new: u32) -> Result<()> {
        match self.0.get_mut(path.strip_prefix("/").unwrap_or(path)) {
            Some(Node::File(_, mode) | Node::Bytes(_, mode)) => *mode = new,
            _ => {
                return Err(BuildError::new(
                    format!("set the mode of {}", path.display()),
                    "there is no such file",
                ));
            }
        }
        Ok(())
    }

    /// Whether there is an entry at `path`.
    pub fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path.strip_prefix("/").unwrap_or(path))
    }

    /// All entries, folders first.
    pub fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Node)> {
        self.0.iter()
    }

    /// Writes the tree as a tar archive.
    pub fn write_tar(&self, to: impl Write) -> Result<()> {
        let mut builder = tar::Builder::new(to);
        for (path, node) in &self.0 {
            append(&mut builder, path, node).context(|| format!("pack {}", path.display()))?;
        }
        builder.finish().context(|| "finish a tar archive".into())
    }

    /// Writes the tree as a cpio archive of the kind the kernel unpacks (newc; see
    /// Documentation/driver-api/early-userspace/buffer-format.rst in the kernel).
    pub fn write_cpio(&self, mut to: impl Write) -> Result<()> {
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
        .map_err(|_| std::io::Error::other("larger than 4 GiB, which cpio cannot hold"))?;
    let mut writer = entry.write(to, size);
    std::io::copy(from, &mut writer)?;
    writer.finish()?;
    Ok(())
}

/// Reads a mode written in octal, as `chmod` takes it.
pub fn octal(text: &str) -> Result<u32> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| BuildError::new("read a mode", format!("`{text}` is not an octal mode")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_tree_gives_the_same_bytes_and_folders_come_first() {
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
    fn modes_are_octal() {
        assert_eq!(octal("1777").unwrap(), 0o1777);
        assert!(octal("8").is_err());
        assert!(octal("77777").is_err());
    }
}

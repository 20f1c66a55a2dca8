//! The files of a console's image that it mounts into the tree: the entries of `/`, `/var` and `/var/lib`.
//! Folders of the tree that the image does not have persist.

use std::collections::BTreeSet;
use std::fs::FileType;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use crate::layout::is_fixed;

/// Folders that have entries of the image beside entries that persist, outermost first.
const MIXED: [&str; 3] = ["", "var", "var/lib"];

/// A file, folder or link of the image, with its path relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A folder or a file, which is mounted.
    Mounted {
        /// Its path.
        path: String,
        /// Whether it is a folder.
        is_folder: bool,
    },
    /// A symbolic link, which is created.
    Link {
        /// Its path.
        path: String,
        /// Its target.
        target: PathBuf,
    },
}

impl Entry {
    fn path(&self) -> &str {
        match self {
            Entry::Mounted { path, .. } | Entry::Link { path, .. } => path,
        }
    }
}

/// The entries of an image, without `hidden` names in its root folder.
pub(crate) fn entries(image: &Path, hidden: &[&str]) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    for mixed in MIXED {
        for (name, kind) in list(&image.join(mixed))? {
            let path = join(mixed, &name);
            let is_mixed = MIXED.contains(&path.as_str()) && kind.is_dir();
            if is_mixed || is_fixed(&path) || hidden.contains(&path.as_str()) {
                continue;
            }
            all.push(if kind.is_symlink() {
                let target = std::fs::read_link(image.join(&path))?;
                Entry::Link { path, target }
            } else {
                let is_folder = kind.is_dir();
                Entry::Mounted { path, is_folder }
            });
        }
    }
    Ok(all)
}

/// Creates mount points for the entries, and the links. Removes files that an earlier console left,
/// because only folders persist. Returns the errors, each with its path.
pub(crate) fn prepare(tree: &Path, entries: &[Entry]) -> Vec<(String, Error)> {
    let mut failed = Vec::new();
    let mut check = |path: &str, done: Result<()>| {
        if let Err(error) = done {
            failed.push((path.to_owned(), error));
        }
    };
    let known: BTreeSet<&str> = entries.iter().map(Entry::path).collect();
    for mixed in MIXED {
        check(mixed, create_folder(&tree.join(mixed)));
        let found = list(&tree.join(mixed)).unwrap_or_default();
        for (name, _) in found.into_iter().filter(|(_, kind)| kind.is_file()) {
            let path = join(mixed, &name);
            if !known.contains(path.as_str()) {
                check(&path, std::fs::remove_file(tree.join(&path)));
            }
        }
    }
    for entry in entries {
        let place = tree.join(entry.path());
        let created = match entry {
            Entry::Mounted { is_folder, .. } if *is_folder => create_folder(&place),
            Entry::Mounted { .. } => create_file(&place),
            Entry::Link { target, .. } => create_link(&place, target),
        };
        check(entry.path(), created);
    }
    failed
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// The entries of a folder, sorted by name; none if it does not exist. Ignores names that are not UTF-8.
fn list(folder: &Path) -> Result<Vec<(String, FileType)>> {
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            all.push((name, entry.file_type()?));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(all)
}

/// Removes the file or the empty folder at a path, unless it is of the wanted kind; returns whether it
/// is.
fn keep_or_remove(place: &Path, is_wanted: impl Fn(FileType) -> bool) -> Result<bool> {
    match std::fs::symlink_metadata(place) {
        Ok(found) if is_wanted(found.file_type()) => Ok(true),
        Ok(found) if found.is_dir() => std::fs::remove_dir(place).map(|()| false),
        Ok(_) => std::fs::remove_file(place).map(|()| false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn create_folder(place: &Path) -> Result<()> {
    if keep_or_remove(place, |kind| kind.is_dir())? {
        Ok(())
    } else {
        std::fs::create_dir(place)
    }
}

fn create_file(place: &Path) -> Result<()> {
    if keep_or_remove(place, |kind| kind.is_file())? {
        Ok(())
    } else {
        std::fs::write(place, "")
    }
}

fn create_link(place: &Path, target: &Path) -> Result<()> {
    if std::fs::read_link(place).is_ok_and(|there| there == target) {
        return Ok(());
    }
    keep_or_remove(place, |_| false)?;
    std::os::unix::fs::symlink(target, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folders {
        image: PathBuf,
        tree: PathBuf,
        _folder: tempfile::TempDir,
    }

    fn folders() -> Folders {
        let folder = tempfile::tempdir().unwrap();
        let (image, tree) = (folder.path().join("image"), folder.path().join("tree"));
        for path in [
            "etc",
            "usr/bin",
            "var/cache",
            "var/lib/dpkg",
            "var/lib/docker",
            "home",
            "mnt",
            "tree",
        ] {
            std::fs::create_dir_all(image.join(path)).unwrap();
        }
        std::fs::create_dir(&tree).unwrap();
        std::os::unix::fs::symlink("usr/bin", image.join("bin")).unwrap();
        std::os::unix::fs::symlink("../run", image.join("var/run")).unwrap();
        std::fs::write(image.join(".dockerenv"), "").unwrap();
        let _folder = folder;
        Folders {
            image,
            tree,
            _folder,
        }
    }

    #[test]
    fn entries_skip_fixed_and_hidden_paths() {
        let folders = folders();
        let found = entries(&folders.image, &["tree"]).unwrap();
        let paths: Vec<_> = found.iter().map(Entry::path).collect();
        assert_eq!(
            paths,
            [
                ".dockerenv",
                "bin",
                "etc",
                "usr",
                "var/cache",
                "var/run",
                "var/lib/dpkg"
            ]
        );
    }

    #[test]
    fn prepare_keeps_folders_of_people_and_removes_loose_files() {
        let Folders {
            image,
            tree,
            _folder,
        } = folders();
        for folder in ["data/db", "var/www"] {
            std::fs::create_dir_all(tree.join(folder)).unwrap();
            std::fs::write(tree.join(folder).join("file"), "kept").unwrap();
        }
        std::fs::write(tree.join("loose-file"), "").unwrap();
        std::os::unix::fs::symlink("/mnt/disk", tree.join("disk")).unwrap();
        let found = entries(&image, &["tree"]).unwrap();
        for _ in 0..2 {
            assert!(prepare(&tree, &found).is_empty());
            assert!(tree.join("data/db/file").exists() && tree.join("var/www/file").exists());
            assert!(!tree.join("loose-file").exists());
            assert_eq!(
                std::fs::read_link(tree.join("disk")).unwrap(),
                Path::new("/mnt/disk")
            );
            assert_eq!(
                std::fs::read_link(tree.join("var/run")).unwrap(),
                Path::new("../run")
            );
            assert!(tree.join("usr").is_dir() && tree.join("var/lib/dpkg").is_dir());
        }
    }

    #[test]
    fn prepare_replaces_a_folder_by_a_link_only_when_it_is_empty() {
        let Folders {
            image,
            tree,
            _folder,
        } = folders();
        std::fs::create_dir_all(tree.join("bin")).unwrap();
        std::fs::create_dir_all(tree.join("var/run/full")).unwrap();
        let found = entries(&image, &["tree"]).unwrap();
        let failed = prepare(&tree, &found);
        assert_eq!(
            std::fs::read_link(tree.join("bin")).unwrap(),
            Path::new("usr/bin")
        );
        let paths: Vec<_> = failed.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["var/run"], "files of people are kept");
    }
}

//! What a console puts into the tree: the folders of its image at the top, in `/var` and in `/var/lib`.
//! What its image does not have there stays as it is, and so persists.

use std::collections::BTreeSet;
use std::fs::FileType;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use super::is_fixed;

/// Folders in which the image's entries and those that persist stand side by side, outermost first.
const MIXED: [&str; 3] = ["", "var", "var/lib"];

/// Something of the image, by its path below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder or a file, to be mounted at its place.
    Mounted {
        /// Its path.
        path: String,
        /// Whether it is a folder.
        is_folder: bool,
    },
    /// A symbolic link, to be made there.
    Link {
        /// Its path.
        path: String,
        /// What it names.
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

/// What an image has to put into the tree; `hidden` are names at its top that are not its own.
pub fn entries(image: &Path, hidden: &[&str]) -> Result<Vec<Entry>> {
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

/// Makes the places that the entries are put at, and the links. Files that an earlier console left are
/// removed: only folders persist there. Returns what could not be done, by path.
pub fn prepare(tree: &Path, entries: &[Entry]) -> Vec<(String, Error)> {
    let mut failed = Vec::new();
    let mut note = |path: &str, done: Result<()>| {
        if let Err(error) = done {
            failed.push((path.to_owned(), error));
        }
    };
    let known: BTreeSet<&str> = entries.iter().map(Entry::path).collect();
    for mixed in MIXED {
        note(mixed, make_folder(&tree.join(mixed)));
        let found = list(&tree.join(mixed)).unwrap_or_default();
        for (name, _) in found.into_iter().filter(|(_, kind)| kind.is_file()) {
            let path = join(mixed, &name);
            if !known.contains(path.as_str()) {
                note(&path, std::fs::remove_file(tree.join(&path)));
            }
        }
    }
    for entry in entries {
        let place = tree.join(entry.path());
        let made = match entry {
            Entry::Mounted { is_folder, .. } if *is_folder => make_folder(&place),
            Entry::Mounted { .. } => make_file(&place),
            Entry::Link { target, .. } => make_link(&place, target),
        };
        note(entry.path(), made);
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

/// The names in a folder that may not be there, sorted; names that are no UTF-8 are no image's.
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

/// Removes what is at a place unless it is of this kind; a folder only when it is empty.
fn clear_unless(place: &Path, is_wanted: impl Fn(FileType) -> bool) -> Result<bool> {
    match std::fs::symlink_metadata(place) {
        Ok(found) if is_wanted(found.file_type()) => Ok(true),
        Ok(found) if found.is_dir() => std::fs::remove_dir(place).map(|()| false),
        Ok(_) => std::fs::remove_file(place).map(|()| false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn make_folder(place: &Path) -> Result<()> {
    match clear_unless(place, |kind| kind.is_dir())? {
        true => Ok(()),
        false => std::fs::create_dir(place),
    }
}

fn make_file(place: &Path) -> Result<()> {
    match clear_unless(place, |kind| kind.is_file())? {
        true => Ok(()),
        false => std::fs::write(place, ""),
    }
}

fn make_link(place: &Path, target: &Path) -> Result<()> {
    if std::fs::read_link(place).is_ok_and(|there| there == target) {
        return Ok(());
    }
    clear_unless(place, |_| false)?;
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
    fn image_entries_are_found_except_fixed_and_hidden_ones() {
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
    fn folders_of_people_persist_and_their_files_beside_them_do_not() {
        let Folders {
            image,
            tree,
            _folder,
        } = folders();
        for folder in ["data/db", "var/www"] {
            std::fs::create_dir_all(tree.join(folder)).unwrap();
            std::fs::write(tree.join(folder).join("file"), "kept").unwrap();
        }
        std::fs::write(tree.join("thrown-away"), "").unwrap();
        std::os::unix::fs::symlink("/mnt/disk", tree.join("disk")).unwrap();
        let found = entries(&image, &["tree"]).unwrap();
        for _ in 0..2 {
            assert!(prepare(&tree, &found).is_empty());
            assert!(tree.join("data/db/file").exists() && tree.join("var/www/file").exists());
            assert!(!tree.join("thrown-away").exists());
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
    fn a_link_takes_the_place_of_an_empty_folder_only() {
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
        assert_eq!(paths, ["var/run"], "somebody's files stay");
    }
}

//! A separate project tree for tests that write to the tree or need its only machine.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

use std::os::unix::fs::symlink;

use harness::project;
use tempfile::TempDir;

/// A tree without scenarios that shares the profiles and these folders of this one.
pub(crate) fn with(folders: &[&str]) -> TempDir {
    let root = std::path::absolute(project::find().root()).unwrap();
    let tree = tempfile::tempdir().unwrap();
    for part in ["scenarios", "target"] {
        std::fs::create_dir(tree.path().join(part)).unwrap();
    }
    for folder in ["qemu-profiles"].iter().chain(folders) {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        symlink(root.join(folder), tree.path().join(folder)).unwrap();
    }
    tree
}

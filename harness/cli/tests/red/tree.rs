//! A tree of a test's own, for what leaves something in the tree or has one of it there.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

use std::os::unix::fs::symlink;

use harness::project::Project;
use tempfile::TempDir;

/// With the profiles of this one and these folders of it, and no scenarios.
pub fn with(folders: &[&str]) -> TempDir {
    let root = std::path::absolute(Project::find().root()).unwrap();
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

//! The folders of a build.

use std::path::{Path, PathBuf};

use crate::cache;
use crate::error::Result;

/// The folders that a build reads and writes.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) workspace: PathBuf,
    pub(crate) definitions: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) artifacts: PathBuf,
}

impl Layout {
    pub(crate) fn of(workspace: &Path) -> Self {
        Self {
            workspace: workspace.into(),
            definitions: workspace.join("images"),
            cache: workspace.join("target/images"),
            artifacts: workspace.join("dist/artifacts"),
        }
    }

    /// Takes the build lock of the workspace and removes incomplete results of interrupted builds.
    pub(crate) fn lock(&self) -> Result<impl Drop + use<>> {
        let lock = cache::lock(&self.cache)?;
        for folder in [&self.cache, &self.artifacts] {
            cache::remove_others(folder, cache::INCOMPLETE, Path::new(""));
        }
        Ok(lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_removes_incomplete_results_only() {
        let workspace = tempfile::tempdir().unwrap();
        let layout = Layout::of(workspace.path());
        std::fs::create_dir_all(&layout.cache).unwrap();
        let incomplete = tempfile::tempdir_in(&layout.cache).unwrap().keep();
        std::fs::write(incomplete.join("part"), "").unwrap();
        let complete = layout.cache.join("packages-1");
        std::fs::create_dir(&complete).unwrap();
        drop(layout.lock().unwrap());
        assert!(!incomplete.exists() && complete.exists());
    }
}

//! Creating folders and replacing files.

use std::fs::Permissions;
use std::io::Result;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// Creates a folder with a mode and an owner. A folder that exists with this owner keeps its mode, which
/// the owner may have changed.
pub(crate) fn create_folder(path: &Path, mode: u32, (user, group): (u32, u32)) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user) {
        return Ok(());
    }
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    // The last step, so that an interrupted creation is repeated.
    chown(path, Some(user), Some(group))
}

/// Replaces a file atomically, and syncs it. Root owns it, unless an owner is given.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32, owner: Option<u32>) -> Result<()> {
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    std::fs::write(&new, content)?;
    std::fs::set_permissions(&new, Permissions::from_mode(mode))?;
    if let Some(owner) = owner {
        chown(&new, Some(owner), Some(owner))?;
    }
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_folder_keeps_the_mode_when_the_folder_exists() {
        let parent = tempfile::tempdir().unwrap();
        let me = parent.path().metadata().unwrap();
        let me = (me.uid(), me.gid());
        let path = parent.path().join("home/me");
        let mode = || path.metadata().unwrap().permissions().mode() & 0o7777;
        create_folder(&path, 0o755, me).unwrap();
        assert_eq!(mode(), 0o755);
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        create_folder(&path, 0o755, me).unwrap();
        assert_eq!(mode(), 0o700);
    }
}

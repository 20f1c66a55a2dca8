//! Atomic replacement of files: neither a reader nor a crash can leave a partial file.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The mode of a file that only its owner can read.
pub const PRIVATE: u32 = 0o600;
/// The mode of a file that everybody can read, as far as the umask allows.
pub const SHARED: u32 = 0o666;

/// Replaces `file` atomically: a temporary file in the same directory is written, synced and renamed,
/// then the directory is synced, because a crash could otherwise undo the rename.
///
/// # Errors
/// The directory cannot be written.
pub fn replace(file: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let parent = directory(file);
    let mut new = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(parent)?;
    new.write_all(content)?;
    new.as_file().sync_data()?;
    new.persist(file)?;
    File::open(parent)?.sync_data()
}

/// The directory that holds a file, `.` when its path is a bare name.
pub fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether `path` names something below the directory it is joined to: relative, without `.`, `..`,
/// empty parts and control characters.
pub fn is_relative(path: &str) -> bool {
    let named = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    path.split('/').all(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replace_leaves_one_private_file_with_the_new_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        replace(&file, PRIVATE, b"old and longer").unwrap();
        replace(&file, PRIVATE, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn replace_fails_when_the_directory_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(replace(&folder.path().join("missing/file"), SHARED, b"x").is_err());
    }
}

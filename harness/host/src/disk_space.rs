//! How much room a file system has left.

use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Bytes that may still be written to the file system of an existing file or folder; none where it
/// cannot be asked.
pub fn free(at: &Path) -> Option<u64> {
    let told = statvfs(at).ok()?;
    Some(told.blocks_available() * told.fragment_size())
}

/// An error where fewer than `wanted` MiB are free, with what takes them.
///
/// # Errors
/// There is too little room.
pub fn check(at: &Path, wanted: u64, what: &str) -> Result<(), String> {
    let Some(left) = free(at).map(|bytes| bytes >> 20) else {
        return Ok(());
    };
    if left >= wanted {
        return Ok(());
    }
    let at = at.display();
    Err(format!(
        "no room: {what} takes up to {wanted} MiB in {at}, where {left} MiB are free; \
         `harness checkpoints --remove` makes room"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_room_is_told_with_what_would_help() {
        let here = tempfile::tempdir().unwrap();
        assert!(check(here.path(), 1, "a note").is_ok());
        let error = check(here.path(), 1 << 40, "an ocean").unwrap_err();
        assert!(
            error.starts_with("no room: an ocean takes up to"),
            "{error}"
        );
        assert!(error.contains("checkpoints --remove"), "{error}");
    }
}

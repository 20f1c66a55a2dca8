//! Free space of file systems.

use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Free bytes of the file system of an existing file or folder, for unprivileged users; `None` if
/// statvfs(3) fails.
pub fn free(path: &Path) -> Option<u64> {
    let stats = statvfs(path).ok()?;
    Some(stats.blocks_available() * stats.fragment_size())
}

/// Checks that `wanted` MiB are free; `what` names their use in the error.
///
/// # Errors
/// There is too little free space.
pub fn check(path: &Path, wanted: u64, what: &str) -> Result<(), String> {
    let Some(left) = free(path).map(|bytes| bytes >> 20) else {
        return Ok(());
    };
    if left >= wanted {
        return Ok(());
    }
    let path = path.display();
    Err(format!(
        "not enough disk space: {what} needs up to {wanted} MiB in {path}, and {left} MiB are free; \
        hint: run `harness checkpoints --remove`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_names_the_need_and_the_fix_when_space_is_short() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check(folder.path(), 1, "a note").is_ok());
        let error = check(folder.path(), 1 << 40, "an ocean").unwrap_err();
        assert!(
            error.starts_with("not enough disk space: an ocean needs up to"),
            "{error}"
        );
        assert!(error.contains("checkpoints --remove"), "{error}");
    }
}

//! Paths of files in the scenarios folder that steps send.

use std::path::{Component, Path, PathBuf};

/// The largest file in bytes: its content is held in memory.
const LARGEST: u64 = 64 << 20;

/// The folder of the files that a scenario, or a setup in `setups/`, can send.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    let folder = match folder.file_name() {
        Some(name) if name == "setups" => folder.parent().unwrap_or(folder),
        _ => folder,
    };
    if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_owned()
    }
}

/// Resolves a file name below a folder; refuses symbolic links that lead out of it.
pub(super) fn inside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let path = Path::new(name);
    if name.is_empty() || !path.components().all(is_plain) {
        return Err(format!("`{name}` is not a path below the scenarios folder"));
    }
    let file = folder.join(path);
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let real = file.canonicalize().map_err(failed)?;
    if !real.starts_with(folder.canonicalize().map_err(failed)?) {
        return Err(format!(
            "`{}` is a link to a file outside the scenarios folder",
            file.display()
        ));
    }
    let metadata = real.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("`{}` is not a file", file.display()));
    }
    if metadata.len() > LARGEST {
        return Err(format!(
            "`{}` is larger than {} MiB",
            file.display(),
            LARGEST >> 20
        ));
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_of_a_setup_is_that_of_the_scenarios() {
        let folder = |file: &str| folder_of(Path::new(file));
        assert_eq!(folder("a/scenarios/tea.yaml"), Path::new("a/scenarios"));
        assert_eq!(
            folder("a/scenarios/setups/tea.yaml"),
            Path::new("a/scenarios")
        );
        assert_eq!(folder("tea.yaml"), Path::new("."));
    }
}

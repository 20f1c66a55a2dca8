//! Files of the scenarios folder that `upload` steps send.

use std::path::{Component, Path, PathBuf};

use super::scenario::Step;
use super::step::{Action, Upload};

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

/// The files that these steps send.
pub fn sent_files(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().filter_map(|step| match &step.action {
        Action::Ssh(step) => step.upload.as_ref()?.from.as_deref(),
        _ => None,
    })
}

impl Upload {
    /// The bytes to send: `content`, or the file `from` below `folder`.
    ///
    /// # Errors
    /// The file does not exist, is too large, or is outside the folder.
    pub fn bytes(&self, folder: &Path) -> Result<Vec<u8>, String> {
        match &self.from {
            Some(from) => {
                let file = inside(folder, from)?;
                std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
            }
            None => Ok(self.content.clone().unwrap_or_default().into_bytes()),
        }
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
    fn upload_is_refused_when_the_file_is_outside_the_scenarios_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("scenarios");
        std::fs::create_dir_all(folder.join("files")).unwrap();
        std::fs::write(folder.join("files/tea"), "green").unwrap();
        std::fs::write(parent.path().join("secret"), "no").unwrap();
        std::os::unix::fs::symlink("../../secret", folder.join("files/link")).unwrap();
        let read = |from: &str| {
            let upload = Upload {
                content: None,
                from: Some(from.into()),
                to: "/tea".into(),
                executable: false,
            };
            upload
                .bytes(&folder)
                .map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(read("files/tea").as_deref(), Ok("green"));
        for (from, expected) in [
            ("../secret", "not a path below"),
            ("/etc/passwd", "not a path below"),
            ("files/../../secret", "not a path below"),
            ("files/link", "outside the scenarios folder"),
            ("files", "is not a file"),
            ("files/milk", "No such file"),
        ] {
            let error = read(from).unwrap_err();
            assert!(error.contains(expected), "{from}: {error}");
        }
    }

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

//! Files of the project that a scenario sends.

use std::path::{Component, Path, PathBuf};

use super::load::Step;
use super::step::{Action, Upload};

/// The most that a file may have, in bytes: it is held in memory.
const MOST: u64 = 64 << 20;

/// The folder in which files of a scenario, or of a setup in `setups/`, are looked for.
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

/// The files of the project that these steps send.
pub fn sent_files(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().filter_map(|step| match &step.action {
        Action::Ssh(step) => step.upload.as_ref()?.from.as_deref(),
        _ => None,
    })
}

impl Upload {
    /// What is sent: the content as it is written, or a file below this folder.
    ///
    /// # Errors
    /// The file is not there, too large, or outside the folder.
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

/// The file of this name below a folder, whatever links lead to.
pub(super) fn inside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let path = Path::new(name);
    if name.is_empty() || !path.components().all(is_plain) {
        return Err(format!(
            "`{name}` is no path below the folder of the scenarios"
        ));
    }
    let file = folder.join(path);
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let real = file.canonicalize().map_err(failed)?;
    if !real.starts_with(folder.canonicalize().map_err(failed)?) {
        return Err(format!(
            "{} leads out of the folder of the scenarios",
            file.display()
        ));
    }
    let about = real.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(format!("{} is no file", file.display()));
    }
    if about.len() > MOST {
        return Err(format!(
            "{} has more than {} MiB",
            file.display(),
            MOST >> 20
        ));
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_sent_only_from_inside_the_folder_of_the_scenarios() {
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
        for (from, why) in [
            ("../secret", "no path below"),
            ("/etc/passwd", "no path below"),
            ("files/../../secret", "no path below"),
            ("files/link", "leads out"),
            ("files", "is no file"),
            ("files/milk", "No such file"),
        ] {
            let error = read(from).unwrap_err();
            assert!(error.contains(why), "{from}: {error}");
        }
    }

    #[test]
    fn files_of_setups_lie_beside_those_of_scenarios() {
        let folder = |file: &str| folder_of(Path::new(file));
        assert_eq!(folder("a/scenarios/tea.yaml"), Path::new("a/scenarios"));
        assert_eq!(
            folder("a/scenarios/setups/tea.yaml"),
            Path::new("a/scenarios")
        );
        assert_eq!(folder("tea.yaml"), Path::new("."));
    }
}

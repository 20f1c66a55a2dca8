//! The file `authorized_keys` of `rancher`: the configured keys, beside those that people wrote into it.
//!
//! A key that is removed from the machine's document (`rancher.yml`) is removed from the file, too. So the
//! keys that came from that document are recorded in another file; keys without a record stay. The keys of
//! a cloud stay, too, when the cloud sends others: it often sends only new keys, and removing the others
//! would lock people out.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use config::{Layer, Loaded, Problem};

use crate::files::{create_folder, replace};
use crate::rancher::{HOME, RANCHER};

/// The record of keys that came from the document, on the same disk as `/home`.
const RECORD: &str = "/var/lib/rancher/conf/authorized_keys";

/// The configuration key.
const KEYS: &str = "ssh_authorized_keys";

/// Adds the configured keys to the file, and removes those that are no longer configured.
///
/// # Errors
/// A file cannot be read or written; or keys are kept because the configuration has errors.
pub(crate) fn install(loaded: &Loaded) -> Result<()> {
    let keys = Keys {
        folder: Path::new(HOME).join(".ssh"),
        owner: RANCHER,
        record: RECORD.into(),
    };
    keys.install(&Configured::of(loaded))
}

/// The keys in the configuration.
#[derive(Default)]
struct Configured {
    /// The effective keys.
    keys: Vec<String>,
    /// The keys of the machine's document.
    in_document: Vec<String>,
    /// The keys of all layers: a key that a higher layer hides is not removed.
    in_any_layer: Vec<String>,
    /// Whether the configuration could be read without errors.
    is_complete: bool,
}

impl Configured {
    fn of(loaded: &Loaded) -> Self {
        let of_layer = |layer: &Layer| {
            let keys = layer.value.get(KEYS).and_then(|keys| keys.as_sequence());
            let keys = keys.into_iter().flatten().filter_map(|key| key.as_str());
            Vec::from_iter(keys.map(|key| key.trim().to_owned()))
        };
        let keys = loaded.config.ssh_authorized_keys.iter();
        let keys = keys.map(|key| key.trim().to_owned());
        Self {
            keys: keys.filter(|key| !key.is_empty()).collect(),
            in_document: loaded
                .layers
                .iter()
                .filter(|layer| layer.is_users())
                .flat_map(of_layer)
                .collect(),
            in_any_layer: loaded.layers.iter().flat_map(of_layer).collect(),
            is_complete: is_complete(loaded),
        }
    }
}

/// Whether all keys could be read. Text with an error may have more keys, and an error must not lock people
/// out.
fn is_complete(loaded: &Loaded) -> bool {
    let is_about_keys = |argument: &Vec<String>| argument.iter().any(|key| key.contains(KEYS));
    let harmless = |problem: &Problem| {
        let argument = problem.argument.as_ref();
        argument.is_some_and(|argument| !is_about_keys(argument))
    };
    !loaded.last_good && loaded.problems.iter().all(harmless)
}

/// The files.
struct Keys {
    folder: PathBuf,
    owner: u32,
    record: PathBuf,
}

impl Keys {
    fn install(&self, configured: &Configured) -> Result<()> {
        let path = self.folder.join("authorized_keys");
        let old = read(&path)?.unwrap_or_default();
        let record = read(&self.record)?.unwrap_or_default();
        let has = |keys: &[String], line: &[u8]| keys.iter().any(|key| key.as_bytes() == line);
        let (present, recorded) = (lines(&old), lines(&record));
        let removed = recorded
            .iter()
            .filter(|key| !has(&configured.in_any_layer, key));
        let removed = Vec::from_iter(removed.copied().filter(|key| present.contains(key)));
        let keep = !configured.is_complete && !removed.is_empty();
        let removed = if keep { vec![] } else { removed };
        let added = configured.keys.iter().map(String::as_bytes);
        let added = Vec::from_iter(added.filter(|key| !present.contains(key)));
        let left = present.iter().filter(|line| !removed.contains(line));
        let new = joined(left.copied().chain(added.iter().copied()));

        // The record is written first, so that it has every key of the document that is in the file.
        let in_document = added.iter().filter(|key| has(&configured.in_document, key));
        let all = joined(recorded.iter().copied().chain(in_document.copied()));
        if record != all {
            replace(&self.record, &all, 0o600, None)?;
        }
        if new != joined(present.iter().copied()) {
            create_folder(&self.folder, 0o700, (self.owner, self.owner))?;
            replace(&path, &new, 0o600, Some(self.owner))?;
        }
        if !removed.is_empty() {
            let now = lines(&all).into_iter().filter(|key| !removed.contains(key));
            replace(&self.record, &joined(now), 0o600, None)?;
        }
        if keep {
            return Err(Error::other(
                "removed keys are kept until the configuration has no errors",
            ));
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::other(format!("{}: {error}", path.display()))),
    }
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    // The text after the last newline.
    lines.pop_if(|last| last.is_empty());
    lines
}

/// Joins lines, each once; empty lines are kept.
fn joined<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Vec<u8> {
    let mut seen = std::collections::BTreeSet::new();
    let lines = lines.filter(|line| line.is_empty() || seen.insert(*line));
    lines.flat_map(|line| [line, b"\n"].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    struct Home {
        keys: Keys,
        folder: tempfile::TempDir,
    }

    impl Home {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let keys = Keys {
                folder: folder.path().join(".ssh"),
                owner: folder.path().metadata().unwrap().uid(),
                record: folder.path().join("record"),
            };
            Self { keys, folder }
        }

        fn write(&self, text: &str) {
            std::fs::create_dir_all(&self.keys.folder).unwrap();
            std::fs::write(self.keys.folder.join("authorized_keys"), text).unwrap();
        }

        fn after(&self, document: &[&str]) -> String {
            self.after_all(document, document)
        }

        /// The file after an installation of effective keys and keys of the document.
        fn after_all(&self, keys: &[&str], document: &[&str]) -> String {
            self.keys
                .install(&configured(keys, document, true))
                .unwrap();
            self.now()
        }

        fn now(&self) -> String {
            std::fs::read_to_string(self.keys.folder.join("authorized_keys")).unwrap_or_default()
        }
    }

    fn configured(keys: &[&str], document: &[&str], is_complete: bool) -> Configured {
        let owned = |keys: &[&str]| Vec::from_iter(keys.iter().map(|key| (*key).to_owned()));
        Configured {
            keys: owned(keys),
            in_document: owned(document),
            in_any_layer: owned(&[keys, document].concat()),
            is_complete,
        }
    }

    #[test]
    fn install_adds_keys_once_and_keeps_keys_of_people() {
        let home = Home::new();
        home.write("# mine\na\nb");
        assert_eq!(home.after(&["b", "c", "b"]), "# mine\na\nb\nc\n");
        assert_eq!(home.after(&["b", "c"]), "# mine\na\nb\nc\n");
        assert_eq!(home.folder.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn install_removes_only_keys_that_are_no_longer_configured() {
        let home = Home::new();
        assert_eq!(home.after(&["a", "b"]), "a\nb\n");
        home.write("a\nmine\nb\n");
        assert_eq!(home.after(&["b"]), "mine\nb\n");
        // A key that a person added first stays, even if the document had it for a while.
        assert_eq!(home.after(&["b", "mine"]), "mine\nb\n");
        assert_eq!(home.after(&["b"]), "mine\nb\n");
        assert_eq!(home.after(&[]), "mine\n", "the last key is removed, too");
    }

    #[test]
    fn install_keeps_keys_of_a_cloud_when_it_no_longer_sends_them() {
        let home = Home::new();
        assert_eq!(home.after_all(&["cloud"], &[]), "cloud\n");
        assert_eq!(home.after_all(&["other"], &["a"]), "cloud\nother\n");
        assert_eq!(home.after(&["a"]), "cloud\nother\na\n");
        assert_eq!(home.after_all(&["other"], &["a"]), "cloud\nother\na\n");
        assert_eq!(home.after_all(&["other"], &[]), "cloud\nother\n");
    }

    #[test]
    fn configured_distinguishes_keys_by_layer() {
        let folder = tempfile::tempdir().unwrap();
        let write = |layer: &str, keys: &str| {
            std::fs::write(folder.path().join(layer), format!("{KEYS}: {keys}\n")).unwrap();
        };
        write(config::USER_LAYER, "[' a ', '']");
        write(config::CLOUD_LAYER, "[b]");
        let found = Configured::of(&config::load(folder.path(), ""));
        assert_eq!(found.keys, ["b"]);
        assert_eq!(found.in_document, ["a", ""]);
        assert_eq!(found.in_any_layer, ["a", "", "b"]);
        assert!(found.is_complete);
    }

    #[test]
    fn install_removes_no_keys_when_the_configuration_has_errors() {
        let home = Home::new();
        home.after(&["a"]);
        let error = home
            .keys
            .install(&configured(&["b"], &["b"], false))
            .unwrap_err();
        assert!(error.to_string().contains("are kept until"), "{error}");
        assert_eq!(home.now(), "a\nb\n");
        assert_eq!(home.after(&["b"]), "b\n");
        let is_complete_with = |text: &str, cmdline: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(config::USER_LAYER), text).unwrap();
            is_complete(&config::load(folder.path(), cmdline))
        };
        assert!(is_complete_with(
            "ssh_authorized_keys: [a]\n",
            "rancher.nonsense=1"
        ));
        assert!(!is_complete_with("ssh_authorized_keys: a\n", ""));
        assert!(!is_complete_with("ssh_authorized_keys: [\n", ""));
        assert!(!is_complete_with("", "rancher.ssh_authorized_keys={"));
    }

    #[test]
    fn install_fails_when_the_file_cannot_be_read() {
        let home = Home::new();
        std::fs::create_dir_all(home.keys.folder.join("authorized_keys")).unwrap();
        assert!(home.keys.install(&configured(&["a"], &[], true)).is_err());
        let home = Home::new();
        home.write("a\n");
        let mut odd = std::fs::read(home.keys.folder.join("authorized_keys")).unwrap();
        odd.extend(b"k \xff\n");
        std::fs::write(home.keys.folder.join("authorized_keys"), &odd).unwrap();
        let keys = configured(&["b"], &[], true);
        home.keys.install(&keys).unwrap();
        let now = std::fs::read(home.keys.folder.join("authorized_keys")).unwrap();
        assert_eq!(now, b"a\nk \xff\nb\n");
    }
}

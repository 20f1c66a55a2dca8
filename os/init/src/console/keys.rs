//! The keys that let people in as `rancher`: those of the configuration, beside those that people wrote
//! into the file themselves.
//!
//! A key that somebody takes out of the machine's document goes, for they mean that. So what is there
//! because of that document is noted in a file of its own; what is not noted stays. That of a cloud
//! stays, too, when the cloud says something else: it often says only what is new, and would lock out
//! whom it let in first.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use config::{Layer, Loaded};

use super::users::{HOME, RANCHER, folder, replace};

/// Where it is noted: on the disk that `/home` is on, too.
const NOTED: &str = "/var/lib/rancher/conf/authorized_keys";

/// The key of the configuration.
const KEYS: &str = "ssh_authorized_keys";

/// Puts the configured keys into the file, and takes those out that were configured before.
pub fn lay_out(loaded: &Loaded) -> Result<()> {
    let keys = Keys {
        folder: Path::new(HOME).join(".ssh"),
        owner: RANCHER,
        noted: NOTED.into(),
    };
    keys.lay_out(&Configured::of(loaded))
}

/// What the configuration says of keys.
#[derive(Default)]
struct Configured {
    /// Those that are to be there.
    keys: Vec<String>,
    /// Those of the machine's document.
    of_document: Vec<String>,
    /// Those of any layer: one that lies above hides them, and takes nothing away.
    of_any: Vec<String>,
    /// Whether these are all.
    are_known: bool,
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
            of_document: loaded
                .layers
                .iter()
                .filter(|layer| layer.is_users())
                .flat_map(of_layer)
                .collect(),
            of_any: loaded.layers.iter().flat_map(of_layer).collect(),
            are_known: are_known(loaded),
        }
    }
}

/// Whether these are all keys that are configured: what could not be read may have more, and nobody is
/// locked out by a mistake.
fn are_known(loaded: &Loaded) -> bool {
    let harmless = |place: &str| place.starts_with("kernel argument") && !place.contains(KEYS);
    let mut problems = loaded.problems.iter();
    !loaded.last_good && problems.all(|problem| harmless(&problem.location))
}

/// Where they lie.
struct Keys {
    folder: PathBuf,
    owner: u32,
    noted: PathBuf,
}

impl Keys {
    fn lay_out(&self, configured: &Configured) -> Result<()> {
        let path = self.folder.join("authorized_keys");
        let old = read(&path)?.unwrap_or_default();
        let noted = read(&self.noted)?.unwrap_or_default();
        let has = |keys: &[String], line: &[u8]| keys.iter().any(|key| key.as_bytes() == line);
        let (there, ours) = (lines(&old), lines(&noted));
        let gone = ours.iter().filter(|key| !has(&configured.of_any, key));
        let gone = Vec::from_iter(gone.copied().filter(|key| there.contains(key)));
        let stay = !configured.are_known && !gone.is_empty();
        let gone = if stay { vec![] } else { gone };
        let added = configured.keys.iter().map(String::as_bytes);
        let added = Vec::from_iter(added.filter(|key| !there.contains(key)));
        let left = there.iter().filter(|line| !gone.contains(line));
        let new = joined(left.copied().chain(added.iter().copied()));

        // What is in the file because of the document is noted at any moment.
        let note = |keys: &[u8]| match noted == keys {
            true => Ok(()),
            false => replace(&self.noted, keys, 0o600, None),
        };
        let of_document = added.iter().filter(|key| has(&configured.of_document, key));
        let all = joined(ours.iter().copied().chain(of_document.copied()));
        note(&all)?;
        if new != joined(there.iter().copied()) {
            folder(&self.folder, 0o700, (self.owner, self.owner))?;
            replace(&path, &new, 0o600, Some(self.owner))?;
        }
        if !gone.is_empty() {
            let now = lines(&all).into_iter().filter(|key| !gone.contains(key));
            replace(&self.noted, &joined(now), 0o600, None)?;
        }
        match stay {
            false => Ok(()),
            true => Err(Error::other(
                "what is no longer configured stays until the configuration has no mistake",
            )),
        }
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
    // What follows the last end of a line.
    lines.pop_if(|last| last.is_empty());
    lines
}

/// Each line once; lines without anything in them stay as they are.
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
                noted: folder.path().join("noted"),
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

        /// With those that hold, and those of the document.
        fn after_all(&self, keys: &[&str], document: &[&str]) -> String {
            self.keys
                .lay_out(&configured(keys, document, true))
                .unwrap();
            self.now()
        }

        fn now(&self) -> String {
            std::fs::read_to_string(self.keys.folder.join("authorized_keys")).unwrap_or_default()
        }
    }

    fn configured(keys: &[&str], document: &[&str], are_known: bool) -> Configured {
        let owned = |keys: &[&str]| Vec::from_iter(keys.iter().map(|key| (*key).to_owned()));
        Configured {
            keys: owned(keys),
            of_document: owned(document),
            of_any: owned(&[keys, document].concat()),
            are_known,
        }
    }

    #[test]
    fn keys_are_added_once_and_those_of_people_stay() {
        let home = Home::new();
        home.write("# mine\na\nb");
        assert_eq!(home.after(&["b", "c", "b"]), "# mine\na\nb\nc\n");
        assert_eq!(home.after(&["b", "c"]), "# mine\na\nb\nc\n");
        assert_eq!(home.folder.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_longer_configured_goes_and_nothing_else() {
        let home = Home::new();
        assert_eq!(home.after(&["a", "b"]), "a\nb\n");
        home.write("a\nmine\nb\n");
        assert_eq!(home.after(&["b"]), "mine\nb\n");
        // Somebody's own is not the configuration's because that names it, too, for a while.
        assert_eq!(home.after(&["b", "mine"]), "mine\nb\n");
        assert_eq!(home.after(&["b"]), "mine\nb\n");
        assert_eq!(home.after(&[]), "mine\n", "the last one, too");
    }

    #[test]
    fn what_a_cloud_says_no_more_or_hides_stays() {
        let home = Home::new();
        assert_eq!(home.after_all(&["cloud"], &[]), "cloud\n");
        assert_eq!(home.after_all(&["other"], &["a"]), "cloud\nother\n");
        assert_eq!(home.after(&["a"]), "cloud\nother\na\n");
        assert_eq!(home.after_all(&["other"], &["a"]), "cloud\nother\na\n");
        assert_eq!(home.after_all(&["other"], &[]), "cloud\nother\n");
    }

    #[test]
    fn whose_a_key_is_is_told_by_the_layers() {
        let folder = tempfile::tempdir().unwrap();
        let write = |layer: &str, keys: &str| {
            std::fs::write(folder.path().join(layer), format!("{KEYS}: {keys}\n")).unwrap();
        };
        write(config::USER_LAYER, "[' a ', '']");
        write(config::CLOUD_LAYER, "[b]");
        let found = Configured::of(&config::load(folder.path(), ""));
        assert_eq!(found.keys, ["b"]);
        assert_eq!(found.of_document, ["a", ""]);
        assert_eq!(found.of_any, ["a", "", "b"]);
        assert!(found.are_known);
    }

    #[test]
    fn a_mistake_locks_nobody_out() {
        let home = Home::new();
        home.after(&["a"]);
        let told = home
            .keys
            .lay_out(&configured(&["b"], &["b"], false))
            .unwrap_err();
        assert!(told.to_string().contains("stays until"), "{told}");
        assert_eq!(home.now(), "a\nb\n");
        assert_eq!(home.after(&["b"]), "b\n");
        let known = |text: &str, cmdline: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(config::USER_LAYER), text).unwrap();
            are_known(&config::load(folder.path(), cmdline))
        };
        assert!(known("ssh_authorized_keys: [a]\n", "rancher.nonsense=1"));
        assert!(!known("ssh_authorized_keys: a\n", ""));
        assert!(!known("ssh_authorized_keys: [\n", ""));
        assert!(!known("", "rancher.ssh_authorized_keys={"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_written() {
        let home = Home::new();
        std::fs::create_dir_all(home.keys.folder.join("authorized_keys")).unwrap();
        assert!(home.keys.lay_out(&configured(&["a"], &[], true)).is_err());
        let home = Home::new();
        home.write("a\n");
        let mut odd = std::fs::read(home.keys.folder.join("authorized_keys")).unwrap();
        odd.extend(b"k \xff\n");
        std::fs::write(home.keys.folder.join("authorized_keys"), &odd).unwrap();
        let keys = configured(&["b"], &[], true);
        home.keys.lay_out(&keys).unwrap();
        let now = std::fs::read(home.keys.folder.join("authorized_keys")).unwrap();
        assert_eq!(now, b"a\nk \xff\nb\n");
    }
}

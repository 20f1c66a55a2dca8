//! What is kept of what a cloud said: a layer of the configuration, and user-data with files to write
//! or a script to run. Both lie with the configuration, so both hold when the cloud is silent later.

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use crate::{Found, Kind, Problem, Told, files, user_data};

/// User-data as it was said last, where it could be understood.
const USER_DATA: &str = "user-data";

/// Which machine the cloud says that this is.
const INSTANCE: &str = "instance-id";

/// `runcmd` as it ran, after the machine that it ran for.
const RAN: &str = "runcmd-done";

/// The key of the configuration that has the keys.
const KEYS: &str = "ssh_authorized_keys";

/// Where it is kept.
pub(crate) struct Kept {
    folder: PathBuf,
}

/// The two files of it, where they are there.
#[derive(PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) layer: Option<Vec<u8>>,
    pub(crate) user_data: Option<Vec<u8>>,
}

impl Kept {
    pub(crate) fn of_machine() -> Self {
        Self {
            folder: config::FOLDER.into(),
        }
    }

    #[cfg(test)]
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// What is kept of user-data.
    pub(crate) fn told(&self) -> Told {
        let kept = std::fs::read(self.folder.join(USER_DATA));
        kept.map_or_else(|_| Told::default(), |bytes| user_data::parse(&bytes))
    }

    /// Whether commands ran, in this boot or an earlier one, for the machine that this is.
    pub(crate) fn has_run(&self, commands: &[u8]) -> bool {
        let ran = std::fs::read(self.folder.join(RAN));
        ran.is_ok_and(|ran| ran == self.run(commands))
    }

    /// Remembers that they ran.
    pub(crate) fn remember_run(&self, commands: &[u8]) -> Result<(), String> {
        let path = self.folder.join(RAN);
        let done = files::replace(&path, &self.run(commands), 0o600, (0, 0));
        done.map_err(|error| format!("{}: {error}", path.display()))
    }

    fn run(&self, commands: &[u8]) -> Vec<u8> {
        // Not every cloud gives its machines names.
        let instance = std::fs::read(self.folder.join(INSTANCE)).unwrap_or_default();
        [&instance, &b"\n"[..], commands].concat()
    }

    /// What lies there, to see later whether it is something else.
    pub(crate) fn state(&self) -> State {
        let read = |name| std::fs::read(self.folder.join(name)).ok();
        State {
            layer: read(config::CLOUD_LAYER),
            user_data: read(USER_DATA),
        }
    }

    /// Keeps what was found; what it came to, with what does not fit the configuration. User-data
    /// that is broken leaves that of before, and adds the keys that come beside it. So do keys and
    /// name of before where those of now may not be all.
    pub(crate) fn keep(&self, found: &Found) -> Result<Told, String> {
        let bytes = match &found.user_data {
            Some(Ok(bytes)) => bytes.as_slice(),
            _ => &[],
        };
        let mut told = match &found.user_data {
            Some(Err(why)) => Told::broken(Problem::at(None, why)),
            _ => user_data::parse(bytes),
        };
        let misfits = misfits(bytes, &told.layer);
        told.problems.extend(misfits);
        let path = self.folder.join(config::CLOUD_LAYER);
        let before = layer(&path);
        if told.kind == Kind::Broken {
            told.layer = before.clone().unwrap_or_default();
        }
        add(&mut told.layer, &found.keys, found.hostname.as_deref());
        if let (false, Some(before)) = (found.problems.is_empty(), &before) {
            let (keys, name) = beside(before);
            add(&mut told.layer, &keys, name);
        }
        if before.as_ref() != Some(&told.layer) {
            let layer = Value::Mapping(told.layer.clone());
            config::write_layer(&path, &layer).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        if let Some(instance) = &found.instance {
            self.keep_file(INSTANCE, instance.as_bytes())?;
        }
        match told.kind {
            Kind::Broken => Ok(()),
            _ => self.keep_file(USER_DATA, bytes),
        }?;
        Ok(told)
    }

    fn keep_file(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let path = self.folder.join(name);
        // A boot that hears the same again writes nothing.
        if std::fs::read(&path).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        files::replace(&path, bytes, 0o600, (0, 0)).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// What is wrong with user-data; nothing is done with it.
pub fn check(bytes: &[u8]) -> Vec<Problem> {
    let told = user_data::parse(bytes);
    let misfits = misfits(bytes, &told.layer);
    told.problems.into_iter().chain(misfits).collect()
}

fn layer(path: &Path) -> Option<Mapping> {
    serde_yaml::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Keys and name of a layer.
fn beside(layer: &Mapping) -> (Vec<String>, Option<&str>) {
    let keys = layer.get(KEYS).and_then(Value::as_sequence);
    let keys = keys.into_iter().flatten().filter_map(Value::as_str);
    let name = layer.get("hostname").and_then(Value::as_str);
    (keys.map(str::to_owned).collect(), name)
}

/// Adds what is said beside user-data: keys to its own, and a name where it has none.
fn add(layer: &mut Mapping, more: &[String], name: Option<&str>) {
    if let Some(name) = name
        && !layer.contains_key("hostname")
    {
        layer.insert("hostname".into(), name.into());
    }
    if more.is_empty() {
        return;
    }
    let keys = layer
        .entry(KEYS.into())
        .or_insert_with(|| Value::Sequence(vec![]));
    if let Value::Sequence(keys) = keys {
        for key in more {
            let key = Value::from(key.clone());
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
}

/// What of a layer does not fit the configuration.
fn misfits(bytes: &[u8], layer: &Mapping) -> Vec<Problem> {
    let text = user_data::plain(bytes);
    let Ok(folder) = tempfile::tempdir() else {
        return vec![];
    };
    let path = folder.path().join(config::CLOUD_LAYER);
    if config::write_layer(&path, &Value::Mapping(layer.clone())).is_err() {
        return vec![];
    }
    let early = config::EARLY.iter().filter(|key| layer.contains_key(**key));
    let early = early.map(|key| {
        let what = format!(
            "`{key}` is read before any disk is there; it is ignored; hint: put `rancher.{key}…` on the \
             kernel command line"
        );
        Problem::at(user_data::line_of(&text, key), what)
    });
    let early: Vec<_> = early.collect();
    let problem = |problem: config::Problem| {
        let what = format!("{}{}", problem.why, problem.so);
        Problem::at(user_data::line_of(&text, &problem.key), what)
    };
    config::load(folder.path(), "")
        .problems
        .into_iter()
        .map(problem)
        .chain(early)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(user_data: &str, keys: &[&str]) -> Found {
        Found {
            user_data: Some(Ok(user_data.into())),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            hostname: Some("named".into()),
            instance: Some("i-1".into()),
            problems: vec![],
        }
    }

    fn config(folder: &Path) -> config::Config {
        config::load(folder, "").config
    }

    #[test]
    fn keys_hold_beside_a_script_and_beside_what_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(folder.path());
        kept.keep(&found("#!/bin/sh\n", &["k1"])).unwrap();
        assert_eq!(config(folder.path()).ssh_authorized_keys, ["k1"]);
        assert_eq!(config(folder.path()).hostname, "named");
        kept.keep(&found(
            "#cloud-config\nssh_authorized_keys: [k2, k3]\nhostname: pot\n",
            &["k1", "k2"],
        ))
        .unwrap();
        assert_eq!(
            config(folder.path()).ssh_authorized_keys,
            ["k2", "k3", "k1"]
        );
        let told = kept.keep(&found("#cloud-config\na: [\n", &["k4"])).unwrap();
        assert_eq!((told.kind, told.problems.len()), (Kind::Broken, 1));
        assert_eq!(
            config(folder.path()).ssh_authorized_keys,
            ["k2", "k3", "k1", "k4"]
        );
        assert_eq!(config(folder.path()).hostname, "pot");
        assert_eq!(
            kept.told().kind,
            Kind::CloudConfig,
            "what was good before is kept"
        );
    }

    #[test]
    fn what_cannot_be_read_locks_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(folder.path());
        kept.keep(&found("#!/bin/sh\n", &["k1"])).unwrap();
        let unread = Found {
            user_data: Some(Err("too large".into())),
            ..found("", &["k2"])
        };
        let told = kept.keep(&unread).unwrap();
        assert_eq!(told.kind, Kind::Broken);
        assert_eq!(told.problems, [Problem::at(None, "too large")]);
        assert_eq!(config(folder.path()).ssh_authorized_keys, ["k1", "k2"]);
        assert_eq!(
            kept.told().kind,
            Kind::Script,
            "what was good before is kept"
        );
        let no_keys = Found {
            hostname: None,
            problems: vec!["the keys are gone".into()],
            ..found("#!/bin/bash\n", &["k3"])
        };
        kept.keep(&no_keys).unwrap();
        let now = config(folder.path());
        assert_eq!(now.ssh_authorized_keys, ["k3", "k1", "k2"]);
        assert_eq!(now.hostname, "named");
    }

    #[test]
    fn commands_run_once_for_what_they_say_and_the_machine_that_they_are_for() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(folder.path());
        kept.keep(&found("#cloud-config\n", &[])).unwrap();
        assert!(!kept.has_run(b"ls"));
        kept.remember_run(b"ls").unwrap();
        assert!(kept.has_run(b"ls") && !kept.has_run(b"ls -l"));
        let other = Found {
            instance: Some("i-2".into()),
            ..found("#cloud-config\n", &[])
        };
        kept.keep(&other).unwrap();
        assert!(!kept.has_run(b"ls"));
    }

    #[test]
    fn what_lies_there_is_for_root_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Kept::in_folder(folder.path())
            .keep(&found("#!/bin/sh\n", &[]))
            .unwrap();
        for name in [USER_DATA, config::CLOUD_LAYER] {
            let mode = folder
                .path()
                .join(name)
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_the_configuration_is_told_with_its_line() {
        let text =
            "#cloud-config\nhostname: pot\nrancher:\n  state:\n    required: x\n  nonsense: 1\n";
        let problems: Vec<_> = check(text.as_bytes()).iter().map(|one| one.line).collect();
        assert_eq!(problems, [Some(5), Some(6), Some(4)]);
        assert_eq!(check(b"#cloud-config\nhostname: pot\n"), []);
    }
}

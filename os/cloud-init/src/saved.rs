//! The saved data of a cloud: a layer of the configuration, and the user-data with files to write or a
//! script to run. Both are stored with the configuration and apply when no datasource answers later.

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use crate::datasource::Answer;
use crate::user_data::UserData;
use crate::{Kind, Problem, files, user_data};

/// The last user-data that could be parsed.
const USER_DATA: &str = "user-data";

/// The ID that the cloud gave this machine.
const INSTANCE: &str = "instance-id";

/// The instance ID and the commands of the last `runcmd` that ran.
const RAN: &str = "runcmd-done";

/// The configuration key of the SSH keys.
const KEYS: &str = "ssh_authorized_keys";

/// The folder with the saved data.
pub(crate) struct Saved {
    folder: PathBuf,
}

/// The contents of the saved files that exist.
#[derive(PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) layer: Option<Vec<u8>>,
    pub(crate) user_data: Option<Vec<u8>>,
}

impl Saved {
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

    /// The saved user-data.
    pub(crate) fn user_data(&self) -> UserData {
        std::fs::read(self.folder.join(USER_DATA))
            .map_or_else(|_| UserData::default(), |bytes| user_data::parse(&bytes))
    }

    /// Whether these commands ran for this instance, in this boot or an earlier one.
    pub(crate) fn has_run(&self, commands: &[u8]) -> bool {
        let ran = std::fs::read(self.folder.join(RAN));
        ran.is_ok_and(|ran| ran == self.run_record(commands))
    }

    /// Records that these commands ran for this instance.
    pub(crate) fn record_run(&self, commands: &[u8]) -> Result<(), String> {
        let path = self.folder.join(RAN);
        files::replace(&path, &self.run_record(commands), 0o600, (0, 0))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn run_record(&self, commands: &[u8]) -> Vec<u8> {
        // Not every cloud has instance IDs.
        let instance = std::fs::read(self.folder.join(INSTANCE)).unwrap_or_default();
        [&instance, &b"\n"[..], commands].concat()
    }

    /// The saved files, to detect changes.
    pub(crate) fn state(&self) -> State {
        let read = |name| std::fs::read(self.folder.join(name)).ok();
        State {
            layer: read(config::CLOUD_LAYER),
            user_data: read(USER_DATA),
        }
    }

    /// Saves the answer of a datasource. Returns the parsed user-data with the errors in its
    /// configuration.
    ///
    /// If the user-data cannot be parsed, the saved layer persists and the keys of the metadata are added
    /// to it. If some metadata could not be read, the keys and the host name of the saved layer persist,
    /// because the new ones may be incomplete.
    pub(crate) fn save(&self, answer: &Answer) -> Result<UserData, String> {
        let bytes = match &answer.user_data {
            Some(Ok(bytes)) => bytes.as_slice(),
            _ => &[],
        };
        let mut user_data = match &answer.user_data {
            Some(Err(error)) => UserData::broken(Problem::at(None, error)),
            _ => user_data::parse(bytes),
        };
        let errors = schema_errors(bytes, &user_data.layer);
        user_data.problems.extend(errors);
        let path = self.folder.join(config::CLOUD_LAYER);
        let before = layer(&path);
        if user_data.kind == Kind::Broken {
            user_data.layer = before.clone().unwrap_or_default();
        }
        add_metadata(
            &mut user_data.layer,
            &answer.keys,
            answer.hostname.as_deref(),
        );
        if let (false, Some(before)) = (answer.problems.is_empty(), &before) {
            let (keys, hostname) = metadata(before);
            add_metadata(&mut user_data.layer, &keys, hostname);
        }
        if before.as_ref() != Some(&user_data.layer) {
            let layer = Value::Mapping(user_data.layer.clone());
            config::write_layer(&path, &layer).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        if let Some(instance) = &answer.instance {
            self.save_file(INSTANCE, instance.as_bytes())?;
        }
        if user_data.kind != Kind::Broken {
            self.save_file(USER_DATA, bytes)?;
        }
        Ok(user_data)
    }

    fn save_file(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let path = self.folder.join(name);
        // A boot with the same data writes nothing.
        if std::fs::read(&path).is_ok_and(|saved| saved == bytes) {
            return Ok(());
        }
        files::replace(&path, bytes, 0o600, (0, 0)).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// Checks user-data without applying it and returns the errors.
pub fn check(bytes: &[u8]) -> Vec<Problem> {
    let user_data = user_data::parse(bytes);
    let errors = schema_errors(bytes, &user_data.layer);
    user_data.problems.into_iter().chain(errors).collect()
}

fn layer(path: &Path) -> Option<Mapping> {
    serde_yaml::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// The SSH keys and the host name of a layer.
fn metadata(layer: &Mapping) -> (Vec<String>, Option<&str>) {
    let keys = layer.get(KEYS).and_then(Value::as_sequence);
    let keys = keys.into_iter().flatten().filter_map(Value::as_str);
    let name = layer.get("hostname").and_then(Value::as_str);
    (keys.map(str::to_owned).collect(), name)
}

/// Adds metadata to a layer: SSH keys, and a host name if the layer has none.
fn add_metadata(layer: &mut Mapping, more: &[String], name: Option<&str>) {
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

/// The errors of a layer in the schema of the configuration.
fn schema_errors(bytes: &[u8], layer: &Mapping) -> Vec<Problem> {
    let text = user_data::plain_text(bytes);
    let Ok(folder) = tempfile::tempdir() else {
        return vec![];
    };
    let path = folder.path().join(config::CLOUD_LAYER);
    if config::write_layer(&path, &Value::Mapping(layer.clone())).is_err() {
        return vec![];
    }
    let early = config::EARLY.iter().filter(|key| layer.contains_key(**key));
    let early = early.map(|key| {
        let message = format!(
            "ignored: `{key}` is read before any disk is mounted; hint: put `rancher.{key}…` on the \
             kernel command line"
        );
        Problem::at(user_data::line_of(&text, key), message)
    });
    let problems = config::load(folder.path(), "").problems.into_iter();
    problems
        .map(|problem| {
            let line = user_data::line_of(&text, &problem.key);
            Problem::at(line, problem.description())
        })
        .chain(early)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(user_data: &str, keys: &[&str]) -> Answer {
        Answer {
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
    fn metadata_keys_apply_beside_a_script_and_beside_broken_user_data() {
        let folder = tempfile::tempdir().unwrap();
        let saved = Saved::in_folder(folder.path());
        saved.save(&answer("#!/bin/sh\n", &["k1"])).unwrap();
        assert_eq!(config(folder.path()).ssh_authorized_keys, ["k1"]);
        assert_eq!(config(folder.path()).hostname, "named");
        saved
            .save(&answer(
                "#cloud-config\nssh_authorized_keys: [k2, k3]\nhostname: pot\n",
                &["k1", "k2"],
            ))
            .unwrap();
        assert_eq!(
            config(folder.path()).ssh_authorized_keys,
            ["k2", "k3", "k1"]
        );
        let broken = saved
            .save(&answer("#cloud-config\na: [\n", &["k4"]))
            .unwrap();
        assert_eq!((broken.kind, broken.problems.len()), (Kind::Broken, 1));
        assert_eq!(
            config(folder.path()).ssh_authorized_keys,
            ["k2", "k3", "k1", "k4"]
        );
        assert_eq!(config(folder.path()).hostname, "pot");
        assert_eq!(
            saved.user_data().kind,
            Kind::CloudConfig,
            "the last valid user-data persists"
        );
    }

    #[test]
    fn saved_keys_persist_when_new_data_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let saved = Saved::in_folder(folder.path());
        saved.save(&answer("#!/bin/sh\n", &["k1"])).unwrap();
        let unreadable = Answer {
            user_data: Some(Err("too large".into())),
            ..answer("", &["k2"])
        };
        let broken = saved.save(&unreadable).unwrap();
        assert_eq!(broken.kind, Kind::Broken);
        assert_eq!(broken.problems, [Problem::at(None, "too large")]);
        assert_eq!(config(folder.path()).ssh_authorized_keys, ["k1", "k2"]);
        assert_eq!(
            saved.user_data().kind,
            Kind::Script,
            "the last valid user-data persists"
        );
        let no_keys = Answer {
            hostname: None,
            problems: vec!["the keys cannot be read".into()],
            ..answer("#!/bin/bash\n", &["k3"])
        };
        saved.save(&no_keys).unwrap();
        let now = config(folder.path());
        assert_eq!(now.ssh_authorized_keys, ["k3", "k1", "k2"]);
        assert_eq!(now.hostname, "named");
    }

    #[test]
    fn has_run_is_true_for_the_same_commands_and_instance() {
        let folder = tempfile::tempdir().unwrap();
        let saved = Saved::in_folder(folder.path());
        saved.save(&answer("#cloud-config\n", &[])).unwrap();
        assert!(!saved.has_run(b"ls"));
        saved.record_run(b"ls").unwrap();
        assert!(saved.has_run(b"ls") && !saved.has_run(b"ls -l"));
        let other = Answer {
            instance: Some("i-2".into()),
            ..answer("#cloud-config\n", &[])
        };
        saved.save(&other).unwrap();
        assert!(!saved.has_run(b"ls"));
    }

    #[test]
    fn saved_files_are_readable_by_root_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Saved::in_folder(folder.path())
            .save(&answer("#!/bin/sh\n", &[]))
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
    fn check_reports_schema_errors_with_their_lines() {
        let text =
            "#cloud-config\nhostname: pot\nrancher:\n  state:\n    required: x\n  nonsense: 1\n";
        let problems: Vec<_> = check(text.as_bytes()).iter().map(|one| one.line).collect();
        assert_eq!(problems, [Some(5), Some(6), Some(4)]);
        assert_eq!(check(b"#cloud-config\nhostname: pot\n"), []);
    }
}

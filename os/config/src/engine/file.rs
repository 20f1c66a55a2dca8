//! Merges `daemon.json`, as documented by Docker, into the file that the user's engine reads.
//!
//! An engine exits at once when an option is both in its file and among its arguments, when it does not
//! know a key, or when the file is not JSON.

use serde_json::{Map, Value};

use super::{Arguments, options};
use crate::tree::Node;

/// Keys whose names differ from the names of their options.
const NAMES: [(&str, &str); 12] = [
    ("authorization-plugins", "authorization-plugin"),
    ("default-address-pools", "default-address-pool"),
    ("default-ulimits", "default-ulimit"),
    ("dns-opts", "dns-opt"),
    ("exec-opts", "exec-opt"),
    ("hosts", "host"),
    ("insecure-registries", "insecure-registry"),
    ("labels", "label"),
    ("log-opts", "log-opt"),
    ("registry-mirrors", "registry-mirror"),
    ("runtimes", "add-runtime"),
    ("storage-opts", "storage-opt"),
];

/// Keys without an option.
const FILE_ONLY: [&str; 8] = [
    "builder",
    "cdi-spec-dirs",
    "default-network-opts",
    "default-ulimits",
    "features",
    "node-generic-resources",
    "proxies",
    "rootless",
];

/// Keys that cannot be set, with the reason or a replacement.
const FIXED: [(&str, &str); 15] = [
    ("config-file", MACHINE),
    ("containerd", MACHINE),
    ("containerd-namespace", MACHINE),
    ("containerd-plugin-namespace", MACHINE),
    ("data-root", MACHINE),
    ("exec-opts", MACHINE),
    ("exec-root", MACHINE),
    ("graph", MACHINE),
    (
        "hosts",
        "hint: set `userdocker.args: [--host=ADDRESS]`, or `userdocker.use_tls`",
    ),
    ("pidfile", MACHINE),
    ("tls", TLS),
    ("tlscacert", TLS),
    ("tlscert", TLS),
    ("tlskey", TLS),
    ("tlsverify", TLS),
];

const MACHINE: &str = "the machine depends on its own value";
const TLS: &str = "hint: set `userdocker.use_tls`";

/// Lists that also contain entries of the machine.
const SHARED: [&str; 2] = ["registry-mirrors", "insecure-registries"];

/// The key for containers that keep running when the engine exits.
const LIVE_RESTORE: &str = "live-restore";

/// The file of an engine, and the arguments that go with it.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineFile {
    /// The keys of the file.
    pub keys: Map<String, Value>,
    /// The arguments.
    pub words: Vec<String>,
    /// Keys of `daemon.json` that are ignored, each with its line and the reason.
    pub problems: Vec<String>,
}

/// Merges the machine's settings and a `daemon.json` (its name for messages, and its text).
///
/// A key of `daemon.json` overrides an argument that the machine sets, but not one that the
/// configuration sets.
pub fn file(settings: &str, arguments: &Arguments, daemon: Option<(&str, &str)>) -> EngineFile {
    let mut file = EngineFile {
        keys: serde_json::from_str(settings).unwrap_or_default(),
        words: arguments.words.clone(),
        problems: Vec::new(),
    };
    let Some((name, text)) = daemon.filter(|(_, text)| !text.trim().is_empty()) else {
        return file;
    };
    let requested = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(requested) => requested,
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            file.problems.push(format!(
                "{name}:{line}:{column}: {error}; the engine starts without this file"
            ));
            return file;
        }
    };
    for (key, value) in requested {
        if let Err(reason) = file.set(&key, value, arguments) {
            let location = location(name, text, &key);
            file.problems
                .push(format!("{location}: `{key}` is ignored: {reason}"));
        }
    }
    file
}

/// The path and the text of the user's `daemon.json`, if there is one.
pub fn daemon_json() -> Option<(&'static str, std::io::Result<String>)> {
    let texts = crate::DAEMON_JSON.map(|path| (path, std::fs::read_to_string(path)));
    let is_there = |text: &std::io::Result<String>| {
        let error = text.as_ref().err().map(std::io::Error::kind);
        error != Some(std::io::ErrorKind::NotFound)
    };
    texts.into_iter().find(|(_, text)| is_there(text))
}

/// Replaces the registries in an engine's file with those of the machine's settings and `daemon.json`.
pub fn with_registries(text: &str, settings: &str, daemon: Option<&str>) -> String {
    let mut keys: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    keys.retain(|key, _| !SHARED.contains(&key.as_str()));
    let daemon = daemon.map(|text| ("daemon.json", text));
    let new = file(settings, &Arguments::default(), daemon);
    for (key, value) in new.keys {
        if SHARED.contains(&key.as_str()) {
            keys.insert(key, value);
        }
    }
    format!("{}\n", Value::Object(keys))
}

/// Sets `live-restore` in an engine's file.
pub fn with_live_restore(text: &str, on: bool) -> String {
    let mut keys: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    keys.insert(LIVE_RESTORE.into(), on.into());
    format!("{}\n", Value::Object(keys))
}

/// The problems of a `daemon.json`, checked without the machine's settings, each with its line.
pub fn check_daemon_json(text: &str) -> Vec<String> {
    file("{}", &Arguments::default(), Some(("daemon.json", text))).problems
}

/// `FILE:LINE` of a top-level key.
pub fn location(name: &str, text: &str, key: &str) -> String {
    // JSON is also YAML.
    let byte = Node::of(text).and_then(|root| root.position(&[key.to_owned()]));
    match byte {
        Some(byte) => format!("{name}:{}", text[..byte].matches('\n').count() + 1),
        None => name.to_owned(),
    }
}

impl EngineFile {
    /// Removes `live-restore` from the file and the arguments and returns its value.
    pub fn take_live_restore(&mut self) -> bool {
        let mut on = self.keys.remove(LIVE_RESTORE) == Some(Value::Bool(true));
        let option = format!("--{LIVE_RESTORE}");
        self.words.retain(|word| {
            let Some(value) = word.strip_prefix(&option) else {
                return true;
            };
            let value = value.strip_prefix('=').unwrap_or("true");
            on = options::boolean(value).unwrap_or(on);
            false
        });
        on
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        format!("{}\n", Value::Object(self.keys.clone()))
    }

    /// Sets a key from `daemon.json`, or says why it is ignored.
    fn set(&mut self, key: &str, value: Value, arguments: &Arguments) -> Result<(), String> {
        if key == "exec-opts" && value == serde_json::json!(["native.cgroupdriver=cgroupfs"]) {
            return Ok(());
        }
        if let Some((_, reason)) = FIXED.iter().find(|(fixed, _)| *fixed == key) {
            return Err((*reason).into());
        }
        if SHARED.contains(&key) {
            return self.extend(key, value);
        }
        let option = option(key);
        if let Some(error) = value_error(key, option, &value) {
            return Err(error);
        }
        let argument = format!("--{option}");
        let is_same = |word: &String| word.split('=').next() == Some(argument.as_str());
        if arguments.asked.iter().any(|(_, word)| is_same(word)) {
            return Err("`userdocker.args` sets it and has priority".into());
        }
        self.words.retain(|word| !is_same(word));
        self.keys.insert(key.into(), value);
        Ok(())
    }

    /// Adds items to a list that the machine also sets.
    fn extend(&mut self, key: &str, value: Value) -> Result<(), String> {
        let Value::Array(more) = value else {
            return Err("it must be a list".into());
        };
        let list = self.keys.entry(key).or_insert_with(|| Value::Array(vec![]));
        for one in more {
            let option = match key {
                "registry-mirrors" => "registry-mirror",
                _ => "insecure-registry",
            };
            let text = one.as_str().unwrap_or_default();
            if let Some(Err(error)) = crate::Registries::default().take(option, text) {
                return Err(error);
            }
            if let Value::Array(list) = list
                && !list.contains(&one)
            {
                list.push(one);
            }
        }
        Ok(())
    }
}

/// The name of the option for a key.
fn option(key: &str) -> &str {
    let named = NAMES.iter().find(|(name, _)| *name == key);
    named.map_or(key, |(_, option)| option)
}

/// The error of a key and its value, if any.
fn value_error(key: &str, option: &str, value: &Value) -> Option<String> {
    if FILE_ONLY.contains(&key) || option != key {
        return None;
    }
    if let Some((name, _)) = NAMES.iter().find(|(_, option)| *option == key) {
        return Some(unknown_key(key, Some(name)));
    }
    if !options::is_known(option) {
        return Some(unknown_key(key, options::nearest_option(option)));
    }
    match value {
        Value::Bool(flag) => options::error(option, &flag.to_string()),
        Value::Number(number) => options::error(option, &number.to_string()),
        Value::String(text) => options::error(option, text),
        // The engine validates the contents of lists and maps itself.
        _ => None,
    }
}

fn unknown_key(key: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("Docker has no key `{key}`; hint: did you mean `{near}`?"),
        None => format!("Docker has no key `{key}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::tests::config;

    fn merged(user: &str, daemon: &str) -> EngineFile {
        let config = config(user);
        let arguments = config.user_docker_arguments();
        file(&config.engine_settings(), &arguments, Some(("F", daemon)))
    }

    #[test]
    fn daemon_json_overrides_the_arguments_that_the_machine_sets() {
        let file = merged(
            "registries: {insecure: ['a:1']}\n",
            r#"{
              "log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"},
              "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}],
              "log-level": "info", "live-restore": false, "features": {"buildkit": true},
              "exec-opts": ["native.cgroupdriver=cgroupfs"],
              "insecure-registries": ["b:2"], "storage-driver": "overlay2", "ipv6": true, "mtu": 1400,
              "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 9, "Soft": 9}}
            }"#,
        );
        assert_eq!(file.problems, Vec::<String>::new());
        assert_eq!(
            file.keys["insecure-registries"],
            serde_json::json!(["a:1", "b:2"])
        );
        assert_eq!(file.keys["log-opts"]["max-size"], "10m");
        for word in [
            "--log-level=warn",
            "--live-restore",
            "--storage-driver=overlay2",
        ] {
            assert!(!file.words.contains(&word.into()), "{word}");
        }
        assert!(
            file.words
                .contains(&"--exec-opt=native.cgroupdriver=cgroupfs".into())
        );
        let again: Value = serde_json::from_str(&file.text()).unwrap();
        assert_eq!(again["default-address-pools"][0]["size"], 24);
    }

    #[test]
    fn daemon_json_keys_that_are_fixed_or_invalid_are_ignored_and_reported_with_their_lines() {
        let daemon = "{\n\"data-root\": \"/x\",\n\"hosts\": [\"tcp://0.0.0.0:1\"],\n\"log-opt\": {},\n\
                      \"mtu\": \"big\",\n\"exec-opts\": [\"native.cgroupdriver=systemd\"],\n\
                      \"debug\": true,\n\"registry-mirrors\": [\"nonsense\"],\n\"labels\": [\"a=b\"]\n}";
        let file = merged("userdocker: {args: [--debug]}\n", daemon);
        let mut lines: Vec<_> = file
            .problems
            .iter()
            .map(|one| one.split(": ").next().unwrap())
            .collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["F:2", "F:3", "F:4", "F:5", "F:6", "F:7", "F:8"],
            "{:?}",
            file.problems
        );
        assert_eq!(file.keys["labels"][0], "a=b");
        assert!(file.words.contains(&"--debug=true".into()));
        let unknown = merged("", "{\"log-optz\": 1}");
        assert!(
            unknown.problems[0].contains("Docker has no key `log-optz`"),
            "{:?}",
            unknown.problems
        );
    }

    #[test]
    fn with_registries_preserves_the_other_keys() {
        let text = with_registries(
            r#"{"mtu": 1400, "registry-mirrors": ["http://old"]}"#,
            r#"{"registry-mirrors": ["http://new"]}"#,
            Some(r#"{"registry-mirrors": ["http://mine"], "debug": true}"#),
        );
        let keys: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            keys,
            serde_json::json!({"mtu": 1400, "registry-mirrors": ["http://new", "http://mine"]})
        );
    }

    #[test]
    fn take_live_restore_removes_it_from_file_and_arguments() {
        for (user, daemon, on) in [
            ("", "", true),
            ("", "{\"live-restore\": false}", false),
            ("userdocker: {args: [--live-restore=false]}\n", "", false),
            ("userdocker: {args: [--live-restore=F]}\n", "", false),
            (
                "userdocker: {args: [--live-restore=false]}\n",
                "{\"live-restore\": true}",
                false,
            ),
        ] {
            let mut file = merged(user, daemon);
            assert_eq!(file.take_live_restore(), on, "{user} {daemon}");
            assert!(!file.take_live_restore(), "{user} {daemon}: removed twice");
            let text = with_live_restore(&file.text(), on);
            assert!(text.contains(&format!("\"live-restore\":{on}")), "{text}");
        }
        let text = with_live_restore("{\"mtu\": 1400, \"live-restore\": true}", false);
        assert_eq!(text, "{\"live-restore\":false,\"mtu\":1400}\n");
    }

    #[test]
    fn malformed_daemon_json_is_ignored_and_reported_with_its_line() {
        let file = merged("", "{\n  \"debug\": true,\n}\n");
        assert!(
            file.problems[0].starts_with("F:3:1: "),
            "{:?}",
            file.problems
        );
        assert!(file.problems[0].ends_with("the engine starts without this file"));
        assert_eq!(check_daemon_json("").len(), 0);
    }
}

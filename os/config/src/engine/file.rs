//! `daemon.json`, as Docker's manual has it, merged into the file that the user's engine reads.
//!
//! An engine ends at once when an option is in its file and among its arguments, when a key is none
//! that it knows, or when the file is no JSON.

use serde_json::{Map, Value};

use super::{Arguments, options};
use crate::tree::Node;

/// Keys whose names are not those of their options.
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

/// Keys that no option stands for.
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

/// What the machine depends on, and what to do instead.
const KEPT: [(&str, &str); 15] = [
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
        "set `userdocker.args: [--host=ADDRESS]`, or `userdocker.use_tls`",
    ),
    ("pidfile", MACHINE),
    ("tls", TLS),
    ("tlscacert", TLS),
    ("tlscert", TLS),
    ("tlskey", TLS),
    ("tlsverify", TLS),
];

const MACHINE: &str = "the machine depends on its own";
const TLS: &str = "set `userdocker.use_tls`";

/// Lists that have the machine's entries, too.
const SHARED: [&str; 2] = ["registry-mirrors", "insecure-registries"];

/// Whether containers survive the engine's end.
const LIVE_RESTORE: &str = "live-restore";

/// A file for the engine, and the arguments that go with it.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineFile {
    /// What the engine reads.
    pub keys: Map<String, Value>,
    /// Its arguments.
    pub words: Vec<String>,
    /// What is left out of `daemon.json`, with its line.
    pub problems: Vec<String>,
}

/// What the user's engine reads: the machine's settings, and `daemon.json` as a file of this name.
/// Arguments that are the machine's own give way to it, and those that somebody asked for do not.
pub fn file(settings: &str, arguments: &Arguments, daemon: Option<(&str, &str)>) -> EngineFile {
    let mut made = EngineFile {
        keys: serde_json::from_str(settings).unwrap_or_default(),
        words: arguments.words.clone(),
        problems: Vec::new(),
    };
    let Some((name, text)) = daemon.filter(|(_, text)| !text.trim().is_empty()) else {
        return made;
    };
    let asked = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(asked) => asked,
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let what = format!("{name}:{line}:{column}: {error}; the engine runs without it");
            made.problems.push(what);
            return made;
        }
    };
    for (key, value) in asked {
        if let Err(why) = made.take(&key, value, arguments) {
            let place = place(name, text, &key);
            made.problems
                .push(format!("{place}: `{key}` is left out: {why}"));
        }
    }
    made
}

/// The name and the text of the file that people have the user's engine read, if there is one.
pub fn daemon_json() -> Option<(&'static str, std::io::Result<String>)> {
    let texts = crate::DAEMON_JSON.map(|path| (path, std::fs::read_to_string(path)));
    let is_there = |text: &std::io::Result<String>| {
        let error = text.as_ref().err().map(std::io::Error::kind);
        error != Some(std::io::ErrorKind::NotFound)
    };
    texts.into_iter().find(|(_, text)| is_there(text))
}

/// An engine's file as it is, with the registries of the machine's settings and of `daemon.json`.
pub fn with_registries(has: &str, settings: &str, daemon: Option<&str>) -> String {
    let mut keys: Map<String, Value> = serde_json::from_str(has).unwrap_or_default();
    keys.retain(|key, _| !SHARED.contains(&key.as_str()));
    let daemon = daemon.map(|text| ("daemon.json", text));
    let made = file(settings, &Arguments::default(), daemon);
    for (key, value) in made.keys {
        if SHARED.contains(&key.as_str()) {
            keys.insert(key, value);
        }
    }
    format!("{}\n", Value::Object(keys))
}

/// An engine's file as it is, with `live-restore` as it is to be.
pub fn with_live_restore(has: &str, on: bool) -> String {
    let mut keys: Map<String, Value> = serde_json::from_str(has).unwrap_or_default();
    keys.insert(LIVE_RESTORE.into(), on.into());
    format!("{}\n", Value::Object(keys))
}

/// All that is wrong with a `daemon.json` by itself, each with its line.
pub fn check_daemon_json(text: &str) -> Vec<String> {
    file("{}", &Arguments::default(), Some(("daemon.json", text))).problems
}

/// `FILE:LINE` of a key at the top.
pub fn place(name: &str, text: &str, key: &str) -> String {
    // JSON is YAML, too.
    let byte = Node::of(text).and_then(|root| root.place(&[key.to_owned()]));
    match byte {
        Some(byte) => format!("{name}:{}", text[..byte].matches('\n').count() + 1),
        None => name.to_owned(),
    }
}

impl EngineFile {
    /// Whether containers are to survive the engine's end, by its file or its arguments. It is in
    /// neither from then on.
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

    /// As the engine reads it.
    pub fn text(&self) -> String {
        format!("{}\n", Value::Object(self.keys.clone()))
    }

    fn take(&mut self, key: &str, value: Value, arguments: &Arguments) -> Result<(), String> {
        if key == "exec-opts" && value == serde_json::json!(["native.cgroupdriver=cgroupfs"]) {
            return Ok(());
        }
        if let Some((_, why)) = KEPT.iter().find(|(kept, _)| *kept == key) {
            return Err((*why).into());
        }
        if SHARED.contains(&key) {
            return self.share(key, value);
        }
        let option = option(key);
        if let Some(why) = fault(key, option, &value) {
            return Err(why);
        }
        let begins = format!("--{option}");
        let is_it = |word: &String| word.split('=').next() == Some(begins.as_str());
        if arguments.asked.iter().any(|(_, word)| is_it(word)) {
            return Err("`userdocker.args` has the last word".into());
        }
        self.words.retain(|word| !is_it(word));
        self.keys.insert(key.into(), value);
        Ok(())
    }

    /// Adds to a list.
    fn share(&mut self, key: &str, value: Value) -> Result<(), String> {
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
            if let Some(Err(why)) = crate::Registries::default().take(option, text) {
                return Err(why);
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

fn option(key: &str) -> &str {
    let named = NAMES.iter().find(|(name, _)| *name == key);
    named.map_or(key, |(_, option)| option)
}

fn fault(key: &str, option: &str, value: &Value) -> Option<String> {
    if FILE_ONLY.contains(&key) || option != key {
        return None;
    }
    if let Some((name, _)) = NAMES.iter().find(|(_, option)| *option == key) {
        return Some(format!("Docker has no key `{key}`; did you mean `{name}`?"));
    }
    let why = match value {
        Value::Bool(flag) => options::fault(option, &flag.to_string()),
        Value::Number(number) => options::fault(option, &number.to_string()),
        Value::String(text) => options::fault(option, text),
        // What is in lists and maps the engine says itself.
        _ => options::fault(option, "").filter(|why| why.starts_with("Docker has no")),
    };
    why.map(|why| {
        why.replace("option `--", "key `")
            .replace("mean `--", "mean `")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::tests::config;

    fn made(user: &str, daemon: &str) -> EngineFile {
        let config = config(user);
        let arguments = config.user_docker_arguments();
        file(&config.engine_settings(), &arguments, Some(("F", daemon)))
    }

    #[test]
    fn daemon_json_is_merged_and_the_machines_own_arguments_give_way() {
        let made = made(
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
        assert_eq!(made.problems, Vec::<String>::new());
        assert_eq!(
            made.keys["insecure-registries"],
            serde_json::json!(["a:1", "b:2"])
        );
        assert_eq!(made.keys["log-opts"]["max-size"], "10m");
        for word in [
            "--log-level=warn",
            "--live-restore",
            "--storage-driver=overlay2",
        ] {
            assert!(!made.words.contains(&word.into()), "{word}");
        }
        assert!(
            made.words
                .contains(&"--exec-opt=native.cgroupdriver=cgroupfs".into())
        );
        let again: Value = serde_json::from_str(&made.text()).unwrap();
        assert_eq!(again["default-address-pools"][0]["size"], 24);
    }

    #[test]
    fn what_the_machine_depends_on_and_what_the_engine_refuses_is_left_out_with_its_line() {
        let daemon = "{\n\"data-root\": \"/x\",\n\"hosts\": [\"tcp://0.0.0.0:1\"],\n\"log-opt\": {},\n\
                      \"mtu\": \"big\",\n\"exec-opts\": [\"native.cgroupdriver=systemd\"],\n\
                      \"debug\": true,\n\"registry-mirrors\": [\"nonsense\"],\n\"labels\": [\"a=b\"]\n}";
        let made = made("userdocker: {args: [--debug]}\n", daemon);
        let mut lines: Vec<_> = made
            .problems
            .iter()
            .map(|one| one.split(": ").next().unwrap())
            .collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["F:2", "F:3", "F:4", "F:5", "F:6", "F:7", "F:8"],
            "{:?}",
            made.problems
        );
        assert_eq!(made.keys["labels"][0], "a=b");
        assert!(made.words.contains(&"--debug=true".into()));
        let unknown = self::made("", "{\"log-optz\": 1}");
        assert!(
            unknown.problems[0].contains("Docker has no key `log-optz`"),
            "{:?}",
            unknown.problems
        );
    }

    #[test]
    fn registries_that_are_told_later_leave_all_else() {
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
    fn live_restore_is_in_the_file_alone_whoever_asks_for_it() {
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
            let mut made = made(user, daemon);
            assert_eq!(made.take_live_restore(), on, "{user} {daemon}");
            assert!(!made.take_live_restore(), "{user} {daemon}: it is taken");
            let text = with_live_restore(&made.text(), on);
            assert!(text.contains(&format!("\"live-restore\":{on}")), "{text}");
        }
        let text = with_live_restore("{\"mtu\": 1400, \"live-restore\": true}", false);
        assert_eq!(text, "{\"live-restore\":false,\"mtu\":1400}\n");
    }

    #[test]
    fn what_is_no_json_is_left_out_with_its_line() {
        let made = made("", "{\n  \"debug\": true,\n}\n");
        assert!(
            made.problems[0].starts_with("F:3:1: "),
            "{:?}",
            made.problems
        );
        assert!(made.problems[0].ends_with("the engine runs without it"));
        assert_eq!(check_daemon_json("").len(), 0);
    }
}

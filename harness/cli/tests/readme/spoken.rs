//! Inline commands for the machine in the text of the READMEs. They are run as well, with a value for
//! each placeholder.

use serde_json::{Value, json};

use super::guest;
use super::text::Command;

/// A small addon.
const ADDON: &str = "clock";

/// A custom service.
const SERVICE: &str = "tick";

/// The placeholders and their values.
const WORDS: [(&str, &str); 8] = [
    ("COMMAND", "config"),
    ("FILE", "document.yml"),
    ("KEY", "hostname"),
    ("KEY…", "hostname"),
    ("LINES", "5"),
    ("NAME", "syslog"),
    ("NAME…", ADDON),
    ("VALUE", "box"),
];

/// Commands that the READMEs mention without arguments: they are run with `--help`.
const NAMES: [&str; 6] = [
    "rancherctl addon",
    "rancherctl addon pull",
    "rancherctl config",
    "rancherctl env",
    "rancherctl service",
    "sudo system-docker",
];

/// Whether the text is a command, and not the name of a program or of its output.
fn is_command(command: &Command) -> bool {
    ["rancherctl", "system-docker"].contains(&command.program()) && command.text.contains(' ')
}

/// The steps that run them, in the order of the READMEs.
pub(crate) fn steps(inline: &[Command]) -> Vec<Value> {
    let mut steps = vec![
        guest::upload("addon.yml", &addon().to_string(), false),
        json!({ "ssh": { "run": "rancherctl config merge -i addon.yml", "as": "root" } }),
        json!({ "ssh": { "run": format!("rancherctl service pull {SERVICE}"), "as": "root" } }),
    ];
    let commands = inline.iter().filter(|one| is_command(one));
    steps.extend(commands.flat_map(of));
    steps
}

/// Adds the registry with the addon's image to the machine.
pub(crate) fn with_registry(mut scenario: Value) -> Value {
    scenario["machine"]["registry"] = json!({ "images": ["base"] });
    scenario
}

/// A document with an addon and a service whose images come from the registry.
fn addon() -> Value {
    let registry = "10.0.2.100:5000";
    let clock = json!({
        "image": format!("{registry}/rancher/os-base"),
        "command": ["/usr/bin/sleep", "3600"],
        "volumes": ["/usr:/usr:ro"],
    });
    json!({
        "registries": { "insecure": [registry] },
        "services": { SERVICE: clock },
        "addons": { ADDON: { "services": { ADDON: clock } } },
    })
}

fn of(command: &Command) -> Vec<Value> {
    let line = filled(&command.text);
    if line == "sudo system-docker restart console" {
        return restart_console(command, &line);
    }
    let run = if NAMES.contains(&command.text.as_str()) {
        format!("{line} --help")
    } else if line.ends_with(" edit") {
        // An editor that makes no changes.
        format!("EDITOR=true {line}")
    } else {
        line
    };
    vec![json!({ "name": command.name(), "ssh": { "run": run, "as": "root" } })]
}

/// Steps for a command that ends its own login.
fn restart_console(command: &Command, line: &str) -> Vec<Value> {
    let run = format!("sudo touch /of-this-console && (setsid {line} > /dev/null 2>&1 &)");
    let name = format!("{}: it is another one", command.name());
    vec![
        json!({ "name": command.name(), "ssh": { "run": run } }),
        json!({ "name": name, "wait_for": { "ssh": { "run": "test ! -e /of-this-console" } } }),
    ]
}

/// The words of a command, including the optional ones.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split_whitespace();
    words.map(|word| word.trim_matches(['[', ']']))
}

fn filled(text: &str) -> String {
    let of_services = text.starts_with("rancherctl service ");
    let put = |word| {
        if of_services && word == "NAME…" {
            return SERVICE;
        }
        let known = WORDS.iter().find(|(wanted, _)| *wanted == word);
        known.map_or(word, |(_, put)| *put)
    };
    words(text).map(put).collect::<Vec<_>>().join(" ")
}

/// Entries of the tables above that match no command.
pub(crate) fn idle(inline: &[Command]) -> Vec<String> {
    let commands = inline.iter().filter(|one| is_command(one));
    let texts: Vec<_> = commands.map(|one| one.text.as_str()).collect();
    let has = |wanted: &str| {
        texts
            .iter()
            .any(|text| words(text).any(|word| word == wanted))
    };
    let idle = WORDS.iter().filter(|(word, _)| !has(word));
    let idle = idle.map(|(word, _)| format!("no command of the READMEs' text has a `{word}`"));
    let gone = NAMES.iter().filter(|name| !texts.contains(name));
    let gone = gone.map(|name| format!("the READMEs do not mention `{name}`"));
    idle.chain(gone).collect()
}

//! Commands for the machine that stand in the READMEs' text: they are run too, with something in the
//! place of each word that stands for something.

use serde_json::{Value, json};

use super::guest;
use super::text::Command;

/// An addon that is small.
const ADDON: &str = "clock";

/// A service of one's own.
const SERVICE: &str = "tick";

/// What stands for something, and what is put there.
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

/// Commands that the READMEs mention without what they need: they are asked for their help.
const NAMES: [&str; 6] = [
    "rancherctl addon",
    "rancherctl addon pull",
    "rancherctl config",
    "rancherctl env",
    "rancherctl service",
    "sudo system-docker",
];

/// Whether it is one, and not the name of a program alone or of what it writes.
fn is_command(command: &Command) -> bool {
    ["rancherctl", "system-docker"].contains(&command.program()) && command.text.contains(' ')
}

/// The steps that run them, in the READMEs' order.
pub fn steps(inline: &[Command]) -> Vec<Value> {
    let mut steps = vec![
        guest::upload("addon.yml", &addon().to_string(), false),
        json!({ "ssh": { "run": "rancherctl config merge -i addon.yml", "as": "root" } }),
        json!({ "ssh": { "run": format!("rancherctl service pull {SERVICE}"), "as": "root" } }),
    ];
    let commands = inline.iter().filter(|one| is_command(one));
    steps.extend(commands.flat_map(of));
    steps
}

/// The machine has the registry that the addon comes from.
pub fn with_registry(mut scenario: Value) -> Value {
    scenario["machine"]["registry"] = json!({ "images": ["base"] });
    scenario
}

/// A document with an addon and a service out of the registry.
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
    let run = match NAMES.contains(&command.text.as_str()) {
        true => format!("{line} --help"),
        // An editor that changes nothing.
        false if line.ends_with(" edit") => format!("EDITOR=true {line}"),
        false => line,
    };
    vec![json!({ "name": command.name(), "ssh": { "run": run, "as": "root" } })]
}

/// The command ends the login that it was typed in.
fn restart_console(command: &Command, line: &str) -> Vec<Value> {
    let run = format!("sudo touch /of-this-console && (setsid {line} > /dev/null 2>&1 &)");
    let name = format!("{}: it is another one", command.name());
    vec![
        json!({ "name": command.name(), "ssh": { "run": run } }),
        json!({ "name": name, "wait_for": { "ssh": { "run": "test ! -e /of-this-console" } } }),
    ]
}

/// The words, of which none is left out that may be.
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

/// Entries of the tables above that no command needs.
pub fn idle(inline: &[Command]) -> Vec<String> {
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

//! Commands in the text of the READMEs that stop the machine or the user's containers. They are run
//! as well, and the following steps check the state of the machine.

use serde_json::{Value, json};

use super::guest;
use super::text::Command;

/// The name prefix of the scenarios whose command stops the machine.
pub(crate) const SCENARIOS: &str = "readme-ends";

/// The programs that stop the machine. Each command runs in its own fork.
const ENDS: [&str; 4] = ["reboot", "poweroff", "halt", "shutdown"];

/// Texts that look like commands but cannot be run as written, with the reason.
const NO_COMMAND: [(&str, &str); 4] = [
    (
        "docker -d -s overlay",
        "arguments of 2015, as they stand in a document; os/config reads them",
    ),
    ("docker compose", "the scenario first-hour runs it"),
    (
        "docker run -v /srv/www:/www",
        "the scenario one-tree runs it",
    ),
    ("docker volume create …", "names no file system"),
];

/// Whether the text is a command. The name of a program alone may be the name of a step.
fn is_typed(command: &Command) -> bool {
    command.text.starts_with("sudo ") || command.program() == "docker" && command.text.contains(' ')
}

fn is_command(command: &&Command) -> bool {
    is_typed(command) && NO_COMMAND.iter().all(|(text, _)| command.text != *text)
}

/// Scenarios with one command each, which stops the machine.
pub(crate) fn scenarios(inline: &[Command]) -> Vec<(String, Value)> {
    let mut made: Vec<(String, Value)> = Vec::new();
    for command in inline.iter().filter(is_command) {
        let Some(step) = end(command) else { continue };
        let name = format!("{SCENARIOS}-{}", command.program());
        if !made.iter().any(|(before, _)| *before == name) {
            let scenario = guest::scenario(&name, &[step]);
            made.push((name, scenario));
        }
    }
    made
}

/// The step that checks the machine afterwards: it is ready again, or off with its disks flushed.
fn end(command: &Command) -> Option<Value> {
    let (name, text) = (command.name(), &command.text);
    let says = "all file systems are read-only";
    match command.program() {
        "reboot" => Some(json!({ "name": name, "reboot": { "command": text } })),
        "halt" => {
            let halt = json!({ "command": text, "halts": true, "says": says });
            Some(json!({ "name": name, "power_off": halt }))
        }
        "poweroff" | "shutdown" => {
            let off = json!({ "command": text, "says": says });
            Some(json!({ "name": name, "power_off": off }))
        }
        _ => None,
    }
}

/// Commands for the user's Docker, with a container for each. They do not affect the system containers.
pub(crate) fn of_docker(inline: &[Command]) -> Vec<Value> {
    let mut steps: Vec<Value> = Vec::new();
    let commands = inline.iter().filter(is_command);
    for command in commands.filter(|one| one.program() == "docker") {
        let name = format!("sleeper-{}", steps.len());
        let sleeps = ["sleep", "3600"];
        let sleeps = json!({ "image": "alpine", "name": name, "command": sleeps, "detach": true });
        let system = json!(["console", "network", "syslog", "udev", "userdocker"]);
        steps.extend([
            json!({ "docker": { "engine": "user", "run": sleeps } }),
            json!({ "name": command.name(), "ssh": { "run": command.text } }),
            json!({
                "name": format!("{}: the system is as it was", command.name()),
                "docker": { "engine": "system", "ps": { "contains": system } },
            }),
        ]);
        if command.text.starts_with("docker rm ") {
            let none = json!({ "engine": "user", "ps": { "all": true, "count": 0 } });
            let name = format!("{}: nothing of the user's is left", command.name());
            steps.push(json!({ "name": name, "docker": none }));
        }
    }
    steps
}

/// Commands that are not run, and entries of the tables above that match no command.
pub(crate) fn faults(inline: &[Command]) -> Vec<String> {
    let others = ["docker", "rancherctl", "system-docker"];
    let is_run = |one: &&Command| {
        ENDS.iter()
            .chain(&others)
            .any(|known| one.program() == *known)
    };
    let unknown = inline.iter().filter(is_command).filter(|one| !is_run(one));
    let unknown = unknown.map(|one| format!("{}: this command is not run", one.name()));
    let ended = scenarios(inline);
    let idle = ENDS.iter().filter(|program| {
        let name = format!("{SCENARIOS}-{program}");
        !ended.iter().any(|(ended, _)| *ended == name)
    });
    let idle = idle.map(|program| format!("the READMEs stop no machine with `{program}`"));
    let texts = NO_COMMAND.iter().map(|(text, _)| text);
    let gone = texts.filter(|text| inline.iter().all(|one| one.text != **text));
    let gone = gone.map(|text| format!("the READMEs do not mention `{text}`"));
    unknown.chain(idle).chain(gone).collect()
}

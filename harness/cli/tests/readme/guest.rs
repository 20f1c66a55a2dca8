//! Scenarios generated from the READMEs: their commands for the machine, in order, and their file excerpts.

use serde_json::{Value, json};

use super::text::{Block, Command};

/// The name of the scenario with all commands for the machine.
pub(crate) const SCENARIO: &str = "readme-commands";

/// A scenario file.
pub(crate) fn scenario(name: &str, steps: &[Value]) -> Value {
    json!({
        "name": name,
        "about": "What the READMEs say.",
        "machine": { "disks": [{ "size": 1024, "label": "RANCHER_STATE" }] },
        "steps": steps,
    })
}

/// What the READMEs assume: an image and the reader's files.
pub(crate) fn at_hand(blocks: &[Block]) -> Vec<Value> {
    let is_user_data = |block: &&Block| is_cloud_config(block);
    let user_data = blocks
        .iter()
        .rfind(is_user_data)
        .map(Block::text)
        .unwrap_or_default();
    vec![
        json!({ "docker": { "engine": "user", "import": { "image": "alpine", "files": ["/bin/busybox"] } } }),
        upload("user-data", &user_data, false),
        upload("backup.sh", "#!/bin/sh\n", true),
    ]
}

/// A step that runs a command, which must succeed and print the output that the README shows.
pub(crate) fn typed(command: &Command) -> Value {
    let shown = command.shows.join("\n");
    if shown.trim().is_empty() {
        json!({ "name": command.name(), "ssh": { "run": command.text } })
    } else {
        json!({
            "name": command.name(),
            "ssh": { "run": command.text, "stdout": { "equals": shown.trim_end() } },
        })
    }
}

/// Steps that validate a file of the machine in the READMEs.
pub(crate) fn file(block: &Block) -> Vec<Value> {
    let file = block.id();
    let named = |what: &str| format!("{}: {what}", block.place());
    let check = if is_cloud_config(block) {
        format!("rancherctl cloud-init validate {file}")
    } else {
        format!("rancherctl config validate -i {file}")
    };
    let mut steps = vec![
        upload(&file, &block.text(), false),
        json!({ "name": named(&check), "ssh": { "run": check, "as": "root" } }),
    ];
    if block.keys().any(|key| key == "services") {
        steps.extend(services(block, &file));
    }
    steps
}

/// Steps that start the services of a file.
fn services(block: &Block, file: &str) -> Vec<Value> {
    let read: Value = serde_yaml::from_str(&block.text()).unwrap_or_default();
    let names = read["services"]
        .as_object()
        .into_iter()
        .flat_map(|services| services.keys());
    let merge = format!("rancherctl config merge -i {file}");
    let mut steps = vec![
        json!({ "ssh": { "run": merge, "as": "root" } }),
        json!({ "kill": { "command": "^/usr/lib/rancher/supervisor" } }),
    ];
    let runs = names.map(|name| {
        json!({
            "name": format!("{}: the service {name} is running", block.place()),
            "wait_for": { "container": { "engine": "system", "name": name } },
        })
    });
    steps.extend(runs);
    steps
}

/// Completes an excerpt of a scenario file, with the steps that it refers to.
pub(crate) fn whole(block: &Block) -> Result<(String, Value), String> {
    let name = block.id();
    let part = serde_yaml::from_str::<Value>(&block.text());
    let part = part.map_err(|why| format!("{}: {why}", block.place()))?;
    let places = part["sabotage"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["red_at"]);
    let mut steps = vec![json!({ "ssh": { "run": "true" } }); 9];
    for (step, place) in steps.iter_mut().zip(places.filter_map(Value::as_str)) {
        step["name"] = place.into();
    }
    let mut whole = scenario(&name, &steps);
    for (key, value) in part.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    Ok((name, whole))
}

pub(crate) fn is_cloud_config(block: &Block) -> bool {
    block
        .lines
        .first()
        .is_some_and(|line| line == "#cloud-config")
}

pub(crate) fn upload(to: &str, content: &str, executable: bool) -> Value {
    let to = format!("/home/rancher/{to}");
    json!({ "ssh": { "upload": { "content": content, "to": to, "executable": executable } } })
}

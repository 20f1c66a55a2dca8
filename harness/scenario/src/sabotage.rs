//! Sabotages: changes that must make a scenario fail, which proves that it can fail.
//!
//! Each is one change to the starting point of a scenario. Applied, it results in another scenario that
//! runs like any other. The exception is a changed initrd, which is not part of a scenario; see
//! [`Change::File`].

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::file::Start;
use super::scenario::Scenario;
use super::step::{Action, SshStep, Step};
use super::value::Account;

/// One change that must make the scenario fail at a step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sabotage", transform = one_change)]
pub struct SabotageFile {
    /// The step that must fail, by name or number; `ready` if the machine must not become ready.
    #[schemars(required)]
    pub red_at: Option<StepRef>,
    /// A kernel argument; it replaces one with the same key.
    pub kernel_argument: Option<String>,
    /// A file to add to the initrd.
    pub file: Option<InitrdFile>,
    /// A system container that does not start.
    pub service: Option<String>,
    /// The label of a disk that is then formatted without a label.
    pub disk_without_label: Option<String>,
    /// A command line that runs as root on the machine when it is ready.
    pub run: Option<String>,
    /// The step before which `run` runs; the default is the first.
    pub before: Option<StepRef>,
}

/// Puts the rule of the lint into the schema for editors: one change per sabotage.
fn one_change(schema: &mut Schema) {
    let one = Change::KINDS.map(|kind| serde_json::json!({ "required": [kind] }));
    schema.insert("oneOf".into(), one.to_vec().into());
}

/// A file of the initrd.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InitrdFile {
    /// The path from the root of the initrd.
    pub path: String,
    /// The content.
    pub content: String,
    /// Whether the file is executable.
    #[serde(default)]
    pub executable: bool,
}

/// A reference to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepRef {
    /// By number; the first is 1.
    Number(u64),
    /// By name.
    Name(String),
}

impl<'de> Deserialize<'de> for StepRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;
        impl Visitor<'_> for NameOrNumber {
            type Value = StepRef;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name or the number of a step")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<StepRef, E> {
                Ok(StepRef::Name(name.to_owned()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<StepRef, E> {
                Ok(StepRef::Number(number))
            }
        }
        deserializer.deserialize_any(NameOrNumber)
    }
}

impl JsonSchema for StepRef {
    fn schema_name() -> Cow<'static, str> {
        "StepRef".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name or the number of a step.",
            "oneOf": [{ "type": "string" }, { "type": "integer", "minimum": 1 }],
        })
    }
}

/// A sabotage that passed the lint.
#[derive(Debug, Clone)]
pub struct Sabotage {
    /// Its line in the scenario file, from 1.
    pub line: usize,
    /// The change.
    pub change: Change,
    /// Where the scenario must fail.
    pub red_at: RedAt,
}

/// Where a scenario fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedAt {
    /// Before the first step: the machine does not become ready.
    Ready,
    /// At a step, by its index.
    Step(usize),
    /// At the change itself, which could not be applied.
    Change,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A kernel argument; it replaces one with the same key.
    KernelArgument(String),
    /// A file that the runner adds to the initrd.
    File(InitrdFile),
    /// A system container that does not start.
    Service(String),
    /// The disk with this label is formatted without it.
    DiskWithoutLabel(String),
    /// A command line that runs as root.
    Run {
        /// The command line.
        command: String,
        /// The index of the step before which it runs.
        before: usize,
    },
}

impl Change {
    /// The keys of all kinds.
    pub(super) const KINDS: [&'static str; 5] = [
        "kernel_argument",
        "file",
        "service",
        "disk_without_label",
        "run",
    ];

    /// The change in a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::KernelArgument(argument) => format!("the kernel argument {argument}"),
            Self::File(file) => format!("another {} in the initrd", file.path),
            Self::Service(name) => format!("the system container {name} does not start"),
            Self::DiskWithoutLabel(label) => format!("the disk {label} has no label"),
            Self::Run { command, .. } => {
                let line = command.trim().lines().next().unwrap_or_default();
                format!("as root: {line}")
            }
        }
    }

    fn apply(&self, scenario: &mut Scenario) {
        let machine = &mut scenario.machine;
        match self {
            Self::KernelArgument(argument) => {
                let arguments = &mut machine.kernel_arguments;
                arguments.retain(|other| key(other) != key(argument));
                arguments.push(argument.clone());
            }
            Self::Service(name) => scenario.disabled_services.push(name.clone()),
            Self::DiskWithoutLabel(label) => {
                for disk in &mut machine.disks {
                    // An empty label still formats the disk.
                    if disk.label.as_ref() == Some(label) {
                        disk.label = Some(String::new());
                    }
                }
            }
            Self::File(_) | Self::Run { .. } => {}
        }
    }
}

/// The part before `=` of a kernel argument.
pub(super) fn key(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(key, _)| key)
}

impl Sabotage {
    /// The scenario with this change applied; `number` is that of the sabotage, from 1.
    #[must_use]
    pub fn apply_to(&self, scenario: &Scenario, number: usize) -> Scenario {
        let mut changed = scenario.clone();
        changed.name = format!("{}::sabotage-{number}", scenario.name);
        changed.sabotaged = true;
        changed.known_failure = None;
        match &self.change {
            Change::Run { command, before } => changed.steps.insert(*before, self.step(command)),
            change => {
                change.apply(&mut changed);
                // No other trial can use this machine, so it gets no checkpoint.
                changed.start = Start::Cold;
            }
        }
        changed
    }

    fn step(&self, command: &str) -> Step {
        let action = SshStep {
            run: Some(command.to_owned()),
            account: Account::Root,
            ..SshStep::default()
        };
        Step {
            line: self.line,
            name: Some(format!("sabotage, {}", self.change.describe())),
            timeout: None,
            action: Action::Ssh(action),
        }
    }

    /// Maps the number of the step that failed in the changed scenario to its place in the unchanged one.
    pub fn place(&self, failed: Option<usize>) -> RedAt {
        let Some(index) = failed.and_then(|number| number.checked_sub(1)) else {
            return RedAt::Ready;
        };
        match self.change {
            Change::Run { before, .. } if index == before => RedAt::Change,
            Change::Run { before, .. } if index > before => RedAt::Step(index - 1),
            _ => RedAt::Step(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        let text = r"
name: tea
about: tea
machine:
  kernel_arguments: [a=1, b=2, a, quiet]
  disks: [{ size: 1 }, { size: 2, label: CUP }]
steps:
  - ssh: { run: one }
  - ssh: { run: two }
";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tea.yaml");
        std::fs::write(&file, text).unwrap();
        let known = crate::Known {
            profiles: vec!["q35".into()],
            ..Default::default()
        };
        crate::load(&file, &known).unwrap()
    }

    fn sabotage(change: Change) -> Sabotage {
        let red_at = RedAt::Step(1);
        Sabotage {
            line: 1,
            change,
            red_at,
        }
    }

    #[test]
    fn kernel_argument_replaces_arguments_with_the_same_key() {
        let changed = sabotage(Change::KernelArgument("a=3".into())).apply_to(&scenario(), 1);
        assert_eq!(changed.machine.kernel_arguments, ["b=2", "quiet", "a=3"]);
        assert_eq!(
            (changed.name.as_str(), changed.start),
            ("tea::sabotage-1", Start::Cold)
        );
    }

    #[test]
    fn service_is_disabled_in_the_changed_scenario_only() {
        let scenario = scenario();
        let changed = sabotage(Change::Service("syslog".into())).apply_to(&scenario, 1);
        assert_eq!(changed.disabled_services, ["syslog"]);
        assert_eq!(scenario.disabled_services, [""; 0]);
    }

    #[test]
    fn disk_without_label_changes_only_the_named_disk() {
        let changed = sabotage(Change::DiskWithoutLabel("CUP".into())).apply_to(&scenario(), 1);
        let labels = changed
            .machine
            .disks
            .iter()
            .map(|disk| disk.label.as_deref());
        assert_eq!(labels.collect::<Vec<_>>(), [None, Some("")]);
    }

    #[test]
    fn command_is_a_step_that_does_not_change_the_numbers_of_the_others() {
        let sabotage = sabotage(Change::Run {
            command: "spill".into(),
            before: 1,
        });
        let changed = sabotage.apply_to(&scenario(), 1);
        assert_eq!((changed.steps.len(), changed.start), (3, Start::Fork));
        let places = [None, Some(1), Some(2), Some(3)].map(|failed| sabotage.place(failed));
        let expected = [RedAt::Ready, RedAt::Step(0), RedAt::Change, RedAt::Step(1)];
        assert_eq!(places, expected);
    }
}

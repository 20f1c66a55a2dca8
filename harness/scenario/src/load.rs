//! Loads scenarios: reads files, deserializes them and lints them. Reports all errors, not only the first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_yaml::Value;

use yaml::{Document, SourceError};

use super::addresses;
use super::cluster::{Cluster, ClusterMachineFile, ClusterNetworkFile};
use super::collector::Lint;
use super::file::ScenarioFile;
use super::lint;
use super::scenario::Scenario;
use super::setup::{Setup, Setups};
use super::step::{Step, StepFile};

/// The default timeout of all steps of a scenario together.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// What scenarios can refer to.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The profiles that exist.
    pub profiles: Vec<String>,
    /// The setups that exist.
    pub setups: Setups,
}

/// The `steps` of a file whose head is invalid: they are checked as well.
#[derive(Deserialize)]
struct OnlySteps {
    #[serde(default)]
    steps: Vec<Value>,
}

/// The machines and networks of a file whose head is invalid: its steps can refer to them.
#[derive(Deserialize)]
struct OnlyCluster {
    machines: Option<BTreeMap<String, ClusterMachineFile>>,
    #[serde(default)]
    networks: BTreeMap<String, ClusterNetworkFile>,
}

/// Reads all scenarios (`*.yaml`) of a folder, sorted by name, and the setups in
/// `setups/*.yaml`.
///
/// # Errors
/// All errors of all files.
pub fn load_all(folder: &Path, profiles: Vec<String>) -> Result<Vec<Scenario>, Vec<SourceError>> {
    let setups = Setups::load(&folder.join("setups"))?;
    let known = Known { profiles, setups };
    let mut scenarios = Vec::new();
    let mut all_errors = Vec::new();
    for file in files(folder).map_err(|error| vec![error])? {
        match load(&file, &known) {
            Ok(scenario) => scenarios.push(scenario),
            Err(errors) => all_errors.extend(errors),
        }
    }
    if all_errors.is_empty() {
        Ok(scenarios)
    } else {
        Err(all_errors)
    }
}

/// The warnings of all scenarios.
pub fn warnings(scenarios: &[Scenario]) -> Vec<SourceError> {
    let each = scenarios.iter().map(|scenario| &scenario.warnings);
    each.flatten().cloned().collect()
}

/// The YAML files of a folder, sorted.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let unreadable = |error: std::io::Error| {
        SourceError::in_file(folder, format!("cannot read the scenarios folder: {error}"))
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml"));
    files.sort();
    let same_name = |pair: &&[PathBuf]| pair[0].file_stem() == pair[1].file_stem();
    match files.windows(2).find(same_name) {
        Some([one, other]) => {
            let message = format!("`{}` has the same name", one.display());
            Err(SourceError::in_file(other, message).hint("remove or rename one of the two"))
        }
        _ => Ok(files),
    }
}

/// Reads one scenario.
///
/// # Errors
/// All errors of the file.
pub fn load(file: &Path, known: &Known) -> Result<Scenario, Vec<SourceError>> {
    let document = Document::read(file).map_err(|error| vec![error])?;
    read(&document, known)
}

/// Reads one scenario from a document.
pub(super) fn read(document: &Document, known: &Known) -> Result<Scenario, Vec<SourceError>> {
    let value = document.value().map_err(|error| vec![error])?;
    let mut lint = Lint::of(document);
    let mut head = match document.fit::<ScenarioFile<Value>>(value.clone(), "") {
        Ok(head) => head,
        Err(error) => return Err(errors_with_steps(lint, value, error)),
    };
    let own = Cluster::of(head.machines.as_ref(), &head.networks);
    let setups = chain(&mut lint, head.setup.as_deref(), &known.setups);
    let cluster = cluster(&mut lint, own, &setups);
    let mut steps = steps(&mut lint, &cluster, head.steps.clone(), "steps");
    lint::head(&mut lint, &head, &known.profiles);
    let mut invariants = self::steps(&mut lint, &cluster, head.invariants.clone(), "invariants");
    lint::placed(&mut lint, &head, &cluster, (&mut steps, &mut invariants));
    lint::invariants(&mut lint, &head, &invariants);
    head.machine = setups
        .iter()
        .map(|setup| &setup.machine)
        .rfold(head.machine, |more, base| base.with(more));
    let has_machines = head.machines.is_some() || !cluster.is_empty();
    lint::cluster(&mut lint, has_machines, &head.machine, &cluster);
    lint::whole(&mut lint, &head, &cluster, &steps);
    let sabotage = lint::sabotages(&mut lint, &head, &cluster, &steps);
    if !lint.errors.is_empty() {
        lint.errors.sort_by_key(|error| error.line);
        return Err(lint.errors);
    }
    Ok(Scenario {
        file: document.file().into(),
        name: head.name,
        about: head.about,
        profiles: head.profiles,
        more_profiles: head.more_profiles,
        nightly: head.nightly,
        machine: head.machine,
        cluster,
        setups,
        start: head.start,
        ready: head.ready,
        timeout: head.timeout.map_or(DEFAULT_TIMEOUT, |span| span.0),
        invariants,
        console: head.console,
        collect: head.collect,
        known_failure: head.known_failure,
        steps,
        sabotage,
        sabotaged: false,
        disabled_services: Vec::new(),
        warnings: lint.warnings,
    })
}

/// The error of an invalid head, and the errors of the steps below it.
fn errors_with_steps(mut lint: Lint<'_>, value: Value, error: SourceError) -> Vec<SourceError> {
    lint.errors.push(error);
    let names: Option<OnlyCluster> = lint.document.fit(value.clone(), "").ok();
    let only: Option<OnlySteps> = lint.document.fit(value, "").ok();
    let cluster = names.map(|names| Cluster::of(names.machines.as_ref(), &names.networks));
    let raw = only.map(|only| only.steps).unwrap_or_default();
    steps(&mut lint, &cluster.unwrap_or_default(), raw, "steps");
    lint.errors
}

/// The setups that a scenario continues from, the first one first.
fn chain(lint: &mut Lint<'_>, setup: Option<&str>, setups: &Setups) -> Vec<Arc<Setup>> {
    let Some(name) = setup else { return Vec::new() };
    setups.chain(name).unwrap_or_else(|| {
        lint.no_setup(name, setups.hint(name));
        Vec::new()
    })
}

/// The machines and networks of a scenario: its own, or those of its setups.
fn cluster(lint: &mut Lint<'_>, own: Cluster, setups: &[Arc<Setup>]) -> Cluster {
    let Some(setup) = setups.iter().find(|setup| !setup.cluster.is_empty()) else {
        return own;
    };
    for (key, given) in [
        ("machines", !own.machines.is_empty()),
        ("networks", !own.networks.is_empty()),
    ] {
        let message = format!("the setup `{}` has `machines` and `networks`", setup.name);
        let hint = "remove the key: the scenario has those of its setup";
        lint.refuse(given, key, &message, hint);
    }
    setup.cluster.clone()
}

/// Returns the valid steps below a key.
pub(super) fn steps(
    lint: &mut Lint<'_>,
    cluster: &Cluster,
    raw: Vec<Value>,
    key: &str,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, mut value) in raw.into_iter().enumerate() {
        let path = format!("{key}[{number}]");
        addresses::fill(lint, cluster, &mut value, &path);
        if let Some(kind) = kind_without_value(&value) {
            let message = format!("`{kind}` has no value");
            let error = lint.document.at_key(&format!("{path}.{kind}"), message);
            let hint = format!("write `{kind}: {{}}`, or add its keys below it");
            lint.errors.push(error.hint(hint));
            continue;
        }
        match lint.document.fit::<StepFile>(value, &path) {
            Ok(step) => steps.extend(step.check(lint, &path)),
            Err(error) => lint.errors.push(error),
        }
    }
    steps
}

/// The kind of a step that has no value and is its only kind: `- reboot:`.
fn kind_without_value(step: &Value) -> Option<&str> {
    let step = step.as_mapping()?;
    let mut kinds = step.iter().filter(|(key, _)| {
        let key = key.as_str().unwrap_or_default();
        !matches!(key, "name" | "on" | "timeout")
    });
    let (key, value) = kinds.next()?;
    let alone = kinds.next().is_none() && value.is_null();
    key.as_str().filter(|_| alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    use crate::testing::{GOOD, errors, read};

    #[test]
    fn scenario_is_read_when_the_file_is_valid() {
        let scenario = read(GOOD).unwrap();
        assert_eq!(scenario.profiles, ["q35"]);
        assert_eq!(
            scenario
                .steps
                .iter()
                .map(|step| step.line)
                .collect::<Vec<_>>(),
            [9, 10, 13, 14, 15, 16]
        );
        assert_eq!(
            scenario.steps[1].timeout,
            Some(std::time::Duration::from_secs(5))
        );
        assert!(scenario.machine.ssh_key);
    }

    #[test]
    fn unknown_key_is_reported_with_its_place_and_the_nearest_key() {
        assert_snapshot!(errors(
            "name: tea\nabout: tea\nsteps:\n  - ssh:\n      run: make tea\n      stdot: {equals: tea}\n"
        ));
    }

    #[test]
    fn all_errors_of_a_file_are_reported() {
        assert_snapshot!(errors(
            r"name: coffee
about: ''
profiles: [q35, p35]
more_profiles: [pc, q35]
machine:
  ssh_key: false
steps:
  - ssh: { run: make tea, upload: { content: a, to: /b } }
  - sssh: { run: make tea }
  - docker: { engine: user, run: { image: tea, command: [make], exit: many } }
  - docker: { engine: nobody, ps: { count: 1 } }
  - ssh: { run: make tea, stdout: { equals: tea, matches: '(' } }
  - timeout: 0s
    reboot: {}
"
        ));
    }

    #[test]
    fn steps_are_checked_when_the_head_is_invalid() {
        assert_snapshot!(errors("nam: tea\nsteps:\n  - ssh: {}\n"));
    }

    #[test]
    fn files_are_refused_when_two_have_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tea.yaml", "tea.yml"] {
            std::fs::write(folder.path().join(name), "name: tea\n").unwrap();
        }
        let errors = load_all(folder.path(), vec![]).unwrap_err();
        let text = errors[0].to_string();
        assert!(text.contains("has the same name"), "{text}");
    }
}

//! Files into scenarios that can be run: read, fit, lint; all errors, not only the first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_yaml::Value;

use yaml::ConsoleRules;
use yaml::{Document, SourceError};

use super::file::{MachineFile, ScenarioFile, Start};
use super::known_failure::KnownFailure;
use super::lint::{self, Lint};
use super::sabotage::Sabotage;
use super::setup::{Setup, Setups};
use super::step::{Action, StepFile, WaitForStep};

/// How long all steps of a scenario may take together unless it says.
const WHOLE: Duration = Duration::from_secs(600);

/// A scenario that is known to make sense.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file it stands in.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    /// What it proves.
    pub about: String,
    /// The profiles it runs on.
    pub profiles: Vec<String>,
    /// Others that it runs on where one of them, or all, is asked for.
    pub more_profiles: Vec<String>,
    /// What the machine is given, by the setups and by the scenario.
    pub machine: MachineFile,
    /// What its machine went through before, the first setup first.
    pub setups: Vec<Arc<Setup>>,
    /// Where it begins.
    pub start: Start,
    /// What a boot is waited for before the first step, where that is not its end.
    pub ready: Option<WaitForStep>,
    /// How long all steps may take together on the reference host.
    pub timeout: Duration,
    /// What must hold all through it.
    pub invariants: Vec<Step>,
    /// What is thought of lines of the console.
    pub console: ConsoleRules,
    /// Files of the machine that are wanted when it is red.
    pub collect: Vec<String>,
    /// That it is known to fail.
    pub known_failure: Option<KnownFailure>,
    /// The steps; at least one.
    pub steps: Vec<Step>,
    /// Changes that must each turn it red.
    pub sabotage: Vec<Sabotage>,
    /// Whether one of them was done to it.
    pub sabotaged: bool,
    /// What should be better about its file, and keeps it from nothing.
    pub warnings: Vec<SourceError>,
}

impl Scenario {
    /// All profiles that it may run on, those that it always runs on first.
    pub fn all_profiles(&self) -> impl Iterator<Item = &str> {
        let all = self.profiles.iter().chain(&self.more_profiles);
        all.map(String::as_str)
    }

    /// Whether this is one of them.
    pub fn may_run_on(&self, profile: &str) -> bool {
        self.all_profiles().any(|name| name == profile)
    }
}

/// A step that is known to do one thing.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it begins in the file.
    pub line: usize,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// How long it may take on the reference host, where it says.
    pub timeout: Option<Duration>,
    /// What it does.
    pub action: Action,
}

/// What a scenario can name.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The profiles that exist.
    pub profiles: Vec<String>,
    /// The setups that exist.
    pub setups: Setups,
}

/// The `steps` of a file whose head is wrong: they are looked at all the same.
#[derive(Deserialize)]
struct OnlySteps {
    #[serde(default)]
    steps: Vec<Value>,
}

/// Reads all scenarios (`*.yaml`) of a folder, in the order of their names, and the setups beside
/// them (`setups/*.yaml`).
///
/// # Errors
/// All that is wrong in all of them.
pub fn load_all(folder: &Path, profiles: Vec<String>) -> Result<Vec<Scenario>, Vec<SourceError>> {
    let setups = Setups::load(&folder.join("setups"))?;
    let known = Known { profiles, setups };
    let mut scenarios = Vec::new();
    let mut wrong = Vec::new();
    for file in files(folder).map_err(|error| vec![error])? {
        match load(&file, &known) {
            Ok(scenario) => scenarios.push(scenario),
            Err(errors) => wrong.extend(errors),
        }
    }
    if wrong.is_empty() {
        Ok(scenarios)
    } else {
        Err(wrong)
    }
}

/// What should be better about scenarios.
pub fn warnings(scenarios: &[Scenario]) -> Vec<SourceError> {
    let each = scenarios.iter().map(|scenario| &scenario.warnings);
    each.flatten().cloned().collect()
}

/// The files that people write in a folder.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let unreadable = |error: std::io::Error| {
        SourceError::in_file(
            folder,
            format!("the folder of scenarios cannot be read: {error}"),
        )
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml"));
    files.sort();
    let same = |pair: &&[PathBuf]| pair[0].file_stem() == pair[1].file_stem();
    match files.windows(2).find(same) {
        Some([one, other]) => {
            let message = format!("{} has the same name", one.display());
            Err(SourceError::in_file(other, message).hint("remove or rename one of the two"))
        }
        _ => Ok(files),
    }
}

/// Reads one scenario.
///
/// # Errors
/// All that is wrong in it.
pub fn load(file: &Path, known: &Known) -> Result<Scenario, Vec<SourceError>> {
    let document = Document::read(file).map_err(|error| vec![error])?;
    read(&document, known)
}

/// Reads one scenario from a document.
pub(super) fn read(document: &Document, known: &Known) -> Result<Scenario, Vec<SourceError>> {
    let value = document.value().map_err(|error| vec![error])?;
    let mut lint = Lint::of(document);
    let head = document.fit::<ScenarioFile<Value>>(value.clone(), "");
    let raw = match &head {
        Ok(head) => head.steps.clone(),
        Err(_) => document
            .fit(value, "")
            .map_or_else(|_| Vec::new(), |only: OnlySteps| only.steps),
    };
    let steps = steps(&mut lint, raw, "steps");
    let head = match head {
        Ok(head) => head,
        Err(error) => {
            lint.found.insert(0, error);
            return Err(lint.found);
        }
    };
    lint::head(&mut lint, &head, &known.profiles);
    let invariants = self::steps(&mut lint, head.invariants.clone(), "invariants");
    lint::invariants(&mut lint, &head, &invariants);
    let setups = chain(&mut lint, head.setup.as_deref(), &known.setups);
    let mut head = head;
    head.machine = setups
        .iter()
        .map(|setup| &setup.machine)
        .rfold(head.machine, |more, base| base.with(more));
    lint::whole(&mut lint, &head, &steps);
    let sabotage = lint::sabotages(&mut lint, &head, &steps);
    if !lint.found.is_empty() {
        lint.found.sort_by_key(|error| error.line);
        return Err(lint.found);
    }
    Ok(Scenario {
        file: document.file().into(),
        name: head.name,
        about: head.about,
        profiles: head.profiles,
        more_profiles: head.more_profiles,
        machine: head.machine,
        setups,
        start: head.start,
        ready: head.ready,
        timeout: head.timeout.map_or(WHOLE, |span| span.0),
        invariants,
        console: head.console,
        collect: head.collect,
        known_failure: head.known_failure,
        steps,
        sabotage,
        sabotaged: false,
        warnings: lint.warned,
    })
}

/// The setups that a scenario goes on from.
fn chain(lint: &mut Lint<'_>, setup: Option<&str>, setups: &Setups) -> Vec<Arc<Setup>> {
    let Some(name) = setup else { return Vec::new() };
    setups.chain(name).unwrap_or_else(|| {
        lint.no_setup(name, setups.hint(name));
        Vec::new()
    })
}

/// Those of the steps below a key that make sense.
pub(super) fn steps(lint: &mut Lint<'_>, raw: Vec<Value>, key: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, value) in raw.into_iter().enumerate() {
        let path = format!("{key}[{number}]");
        if let Some(kind) = kind_alone(&value) {
            let message = format!("`{kind}` has no value");
            let error = lint.document.at_key(&format!("{path}.{kind}"), message);
            let hint = format!("write `{kind}: {{}}`, or its keys below it");
            lint.found.push(error.hint(hint));
            continue;
        }
        match lint.document.fit::<StepFile>(value, &path) {
            Ok(step) => steps.extend(one(lint, step, &path)),
            Err(error) => lint.found.push(error),
        }
    }
    steps
}

/// A key of a step with nothing behind it, where it is the only kind: `- reboot:`.
fn kind_alone(step: &Value) -> Option<&str> {
    let step = step.as_mapping()?;
    let mut kinds = step.iter().filter(|(key, _)| {
        let key = key.as_str().unwrap_or_default();
        !matches!(key, "name" | "timeout")
    });
    let (key, value) = kinds.next()?;
    let alone = kinds.next().is_none() && value.is_null();
    key.as_str().filter(|_| alone)
}

fn one(lint: &mut Lint<'_>, step: StepFile, path: &str) -> Option<Step> {
    let StepFile { name, timeout, .. } = step.clone();
    let action = lint::step(lint, step, path)?;
    let line = lint.document.line(path);
    Some(Step {
        line,
        name,
        timeout: timeout.map(|span| span.0),
        action,
    })
}

//! `harness checkpoints`: lists, explains and removes checkpoints.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use harness::artifacts::{self, Artifacts, Given};
use harness::exit;
use harness::project::Project;
use harness::suite;
use runner::provision::{CheckpointStore, Explained, Listed};
use runner::trial::Trial;
use scenario::Start;

use super::Refusal;
use super::options::CheckpointOptions;

/// How many characters of a value are shown.
const SHOWN: usize = 60;

pub(super) fn checkpoints(
    project: &Project,
    options: &CheckpointOptions,
) -> Result<ExitCode, Refusal> {
    let store = CheckpointStore::new(project.checkpoints_folder());
    match &options.explain {
        Some(filter) => explain(project, &store, filter, &options.given),
        None => {
            list(&store, options.remove);
            Ok(exit::OK.into())
        }
    }
}

fn list(store: &CheckpointStore, remove: bool) {
    let mut found = store.list();
    found.sort_by_key(|one| std::cmp::Reverse(one.used));
    for one in found {
        let done = match (remove, remove && store.remove(&one.name)) {
            (false, _) => "",
            (true, true) => "  removed",
            (true, false) => "  in use",
        };
        super::print(&format!("{}{done}\n", line(&one)));
    }
}

fn line(one: &Listed) -> String {
    let (mib, label) = (one.bytes >> 20, label(one));
    format!(
        "{}  {mib:5} MiB  {label:24} used {} ago",
        one.name,
        age(one.used)
    )
}

fn label(one: &Listed) -> &str {
    one.key
        .as_ref()
        .map_or("(unreadable)", |key| key.label.as_str())
}

/// The age, rounded to seconds.
fn age(used: SystemTime) -> humantime::FormattedDuration {
    let seconds = used.elapsed().unwrap_or_default().as_secs();
    humantime::format_duration(Duration::from_secs(seconds))
}

fn explain(
    project: &Project,
    store: &CheckpointStore,
    filter: &str,
    given: &Given,
) -> Result<ExitCode, Refusal> {
    let trials = suite::trials(project)
        .map_err(|_| Refusal::usage("invalid scenarios or profiles; hint: run `harness check`"))?;
    let wanted: Vec<_> = trials
        .into_iter()
        .filter(|trial| trial.name().contains(filter))
        .collect();
    if wanted.is_empty() {
        return Err(Refusal::usage(format!(
            "no trial matches `{filter}`; hint: run `harness list`"
        )));
    }
    let artifacts = artifacts::obtain(project, given).map_err(Refusal::infrastructure)?;
    for trial in wanted {
        super::print(&of_trial(&trial, store, &artifacts)?);
    }
    Ok(exit::OK.into())
}

fn of_trial(
    trial: &Trial,
    store: &CheckpointStore,
    artifacts: &Artifacts,
) -> Result<String, Refusal> {
    let name = trial.name();
    if trial.scenario.start == Start::Cold {
        return Ok(format!(
            "{name}: booted, because the scenario has `start: cold`\n"
        ));
    }
    if let Some(why) = trial.never_forks() {
        return Ok(format!("{name}: booted, because {why}\n"));
    }
    let keys = trial
        .checkpoint_keys(artifacts)
        .map_err(|failure| Refusal::infrastructure(failure.text()))?;
    let lines = keys.iter().map(|key| {
        let state = describe(&store.explain(key));
        format!("  {}: {state}\n", key.label)
    });
    Ok(format!("{name}\n{}", lines.collect::<String>()))
}

fn describe(explained: &Explained) -> String {
    match explained {
        Explained::Exists(one) => format!("{} is used", one.name),
        Explained::Damaged { one, why } => {
            format!("will be created; {} is incomplete: {why}", one.name)
        }
        Explained::Missing { nearest: None } => {
            "will be created; no other checkpoint exists".into()
        }
        Explained::Missing {
            nearest: Some((one, differences)),
        } => {
            let lines = differences.iter().map(|d| {
                format!(
                    "\n      {}: was {}, is {}",
                    d.what,
                    short(&d.was),
                    short(&d.is)
                )
            });
            let (name, label) = (&one.name, label(one));
            format!(
                "will be created; {name} ({label}) differs in{}",
                lines.collect::<String>()
            )
        }
    }
}

fn short(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        format!("{shown}...")
    } else {
        shown
    }
}

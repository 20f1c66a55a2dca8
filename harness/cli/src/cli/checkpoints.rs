//! `harness checkpoints`: the machines that trials go on from.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use harness::artifacts::Artifacts;
use harness::checkpoint::{Explained, Listed, Store};
use harness::exit;
use harness::project::Project;
use harness::suite;
use harness::trial::Trial;
use scenario::Start;

use super::Refusal;
use super::options::CheckpointOptions;

/// How much of a value is shown.
const SHOWN: usize = 60;

pub(super) fn checkpoints(
    project: &Project,
    options: &CheckpointOptions,
) -> Result<ExitCode, Refusal> {
    let store = Store::new(project.checkpoints_folder());
    match &options.explain {
        Some(filter) => explain(project, &store, filter),
        None => {
            list(&store, options.remove);
            Ok(exit::OK.into())
        }
    }
}

fn list(store: &Store, remove: bool) {
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
    one.recipe
        .as_ref()
        .map_or("(unreadable)", |recipe| recipe.label.as_str())
}

/// To the second: what is below says nothing to anybody.
fn age(used: SystemTime) -> humantime::FormattedDuration {
    let seconds = used.elapsed().unwrap_or_default().as_secs();
    humantime::format_duration(Duration::from_secs(seconds))
}

fn explain(project: &Project, store: &Store, filter: &str) -> Result<ExitCode, Refusal> {
    let trials = suite::trials(project).map_err(|_| {
        Refusal::usage("scenarios or profiles are wrong; `harness check` says where")
    })?;
    let wanted: Vec<_> = trials
        .into_iter()
        .filter(|trial| trial.name().contains(filter))
        .collect();
    if wanted.is_empty() {
        return Err(Refusal::usage(format!(
            "no trial matches `{filter}`; see `harness list`"
        )));
    }
    let artifacts = Artifacts::obtain(project).map_err(Refusal::infrastructure)?;
    for trial in wanted {
        super::print(&of_trial(&trial, store, &artifacts)?);
    }
    Ok(exit::OK.into())
}

fn of_trial(trial: &Trial, store: &Store, artifacts: &Artifacts) -> Result<String, Refusal> {
    let name = trial.name();
    if trial.scenario.start == Start::Cold {
        return Ok(format!("{name}: is booted, for it says `start: cold`\n"));
    }
    if let Some(why) = trial.never_forks() {
        return Ok(format!("{name}: is booted, for {why}\n"));
    }
    let recipes = trial
        .recipes(artifacts)
        .map_err(|failure| Refusal::infrastructure(failure.text()))?;
    let told = recipes.iter().map(|recipe| {
        let how = told(&store.explain(recipe));
        format!("  {}: {how}\n", recipe.label)
    });
    Ok(format!("{name}\n{}", told.collect::<String>()))
}

fn told(explained: &Explained) -> String {
    match explained {
        Explained::There(one) => format!("{} is used", one.name),
        Explained::Damaged { one, why } => {
            format!("will be made; {} is not whole: {why}", one.name)
        }
        Explained::Missing { nearest: None } => "will be made; there is no other".into(),
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
                "will be made; {name} ({label}) differs in{}",
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

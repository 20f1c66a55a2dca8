//! Prepares a run before its first trial: the outputs, the artifacts, the order.

use crate::artifacts;
use crate::project::Project;
use crate::terminal;
use events::Listeners;
use report::{Boots, Warnings};
use runner::evidence;
use runner::history::{self, History, Recorder};
use runner::provision::CheckpointStore;
use runner::trial::{Settings, Trial};

use super::Options;
use super::budget::{Plan, TURNS};
use super::interrupt::Progress;
use super::matrix;
use super::trial::{Ready, history_key};

/// Prepares a run before its first trial.
pub(super) fn prepare(
    project: &Project,
    options: &Options,
    trials: &[Trial],
    progress: &Progress,
) -> Result<Ready, String> {
    // Fail before a long run if the output files cannot be written.
    let outputs = options.output.outputs();
    let outputs = outputs.listen(Listeners::default(), &project.history_folder())?;
    let artifacts = artifacts::obtain(project, &options.trial.given);
    let artifacts = artifacts.map_err(|error| error.to_string())?;
    evidence::sweep(&project.evidence_folder());
    let history = History::new(project.history_file());
    let known = trials.iter().map(|trial| {
        let key = history_key(trial, &artifacts, options);
        (trial.name(), key, &*trial.scenario)
    });
    let baseline = history::baseline(&history, known);
    let plan = match options.part.budget {
        Some(budget) => {
            let durations = matrix::shared_durations(&options.part, &project.durations_file());
            let durations = durations.unwrap_or_default();
            let known = |trial: &Trial| baseline.trial(&trial.name());
            let shared = |trial: &Trial| durations.get(&trial.name()).copied();
            Some(Plan::new(
                budget,
                TURNS,
                project.root(),
                &history,
                trials,
                |trial| known(trial).or_else(|| shared(trial)),
            ))
        }
        None => None,
    };
    let live = if options.live && !options.part.verbose {
        terminal::live(baseline.clone())
    } else {
        None
    };
    let recorder = Recorder::default();
    let mut listeners = outputs
        .with(recorder.clone())
        .with(progress.clone())
        .with(Boots::new(&project.history_folder()));
    if options.part.verbose {
        listeners = listeners.with(terminal::lines());
    }
    match &live {
        Some(live) => listeners = listeners.with(live.clone()),
        None if !options.part.verbose => {
            listeners = listeners.with(Warnings::new(terminal::stderr()))
        }
        None => {}
    }
    progress.notify(listeners.clone(), live.is_some());
    Ok(Ready {
        settings: Settings {
            evidence: project.evidence_folder(),
            keep: options.trial.keep,
            seed: options.failure.seed,
            listeners,
            checkpoints: (!options.trial.cold)
                .then(|| CheckpointStore::new(project.checkpoints_folder())),
            baseline,
            machine_limit: evidence::limit(options.failure.keep_machine_limit),
        },
        artifacts,
        history,
        recorder,
        live,
        plan,
    })
}

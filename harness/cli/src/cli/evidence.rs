//! Commands that use the evidence of a trial.

use std::path::Path;
use std::process::ExitCode;

use events::Baseline;
use events::{Listeners, Verdict};
use harness::artifacts::{self, Artifacts};
use harness::interactive::{self, Entered};
use harness::project::Project;
use harness::suite::{self, FailureOptions, TrialOptions};
use harness::{exit, runtime, terminal};
use runner::evidence;
use runner::provision::CheckpointStore;
use runner::replay::{PastOutcome, PastTrial, ReplayError};
use runner::trial::{Failure, Settings, Trial};
use yaml::{closest, render_all};

use super::Refusal;
use super::options::{EnterOptions, ReplayOptions};

/// `harness enter`.
pub(super) fn enter(project: &Project, options: EnterOptions) -> Result<ExitCode, Refusal> {
    let given = given(&options.trial)?;
    let (entered, artifacts) = match &options.before {
        Some(step) => {
            let settings = Box::new(settings(project, &options.trial, &options.failure));
            let trial = Box::new(find_trial(project, &options.what)?);
            let step = trial.find_step(step).map_err(Refusal::usage)?;
            let wanted = options.machine.as_deref();
            check_machine(&trial, wanted).map_err(Refusal::usage)?;
            let built = || artifacts::build(project).map_err(Refusal::infrastructure);
            let artifacts = given.map_or_else(built, Ok)?;
            let entered = Entered::Before {
                trial,
                step,
                settings,
            };
            (entered, artifacts)
        }
        None => {
            let past = open(project, &options.what)?;
            // Fail before anything is started.
            let (name, names) = (options.machine.as_deref(), past.machine_names());
            let wanted: Vec<_> = match name {
                None if !names.is_empty() => names.iter().map(|name| Some(name.as_str())).collect(),
                name => vec![name],
            };
            if options.paused && wanted.len() > 1 {
                let names = names.join(", ");
                return Err(Refusal::usage(format!(
                    "--paused is for one machine, and the trial had {names}; hint: add --machine"
                )));
            }
            for name in wanted {
                drop(past.machine(name).map_err(|why| match why {
                    ReplayError::Machine { .. } => Refusal::usage(why),
                    _ => Refusal::infrastructure(why),
                })?);
            }
            for service in past.served(project) {
                eprintln!(
                    "note: the {service} of the trial is not available to the restored machine"
                );
            }
            let artifacts = past.artifacts_for_reboot(given, project);
            let artifacts = artifacts.map_err(Refusal::infrastructure)?;
            let paused = options.paused;
            (Entered::PastTrial { past, paused }, artifacts)
        }
    };
    let entered = interactive::enter(interactive::EnterOptions {
        entered,
        machine: options.machine,
        project: project.clone(),
        artifacts,
        background: options.background,
        state_folder: project.state_folder(),
    });
    entered.map_err(Refusal::infrastructure)
}

/// Opens an evidence folder. If the argument is the name of a scenario, the error suggests `--before`.
fn open(project: &Project, name: &str) -> Result<PastTrial, Refusal> {
    PastTrial::open(Path::new(name)).map_err(|why| {
        let hint = match find_trial(project, name) {
            Ok(_) => format!("; hint: stop a trial of {name} before a step with --before STEP"),
            Err(_) => String::new(),
        };
        Refusal::usage(format!("{why}{hint}"))
    })
}

/// Checks that a trial has the machine that the user wants to enter.
fn check_machine(trial: &Trial, wanted: Option<&str>) -> Result<(), String> {
    let names: Vec<&str> = trial
        .scenario
        .cluster
        .machines
        .iter()
        .map(|one| &*one.name)
        .collect();
    match wanted {
        None => Ok(()),
        Some(name) if names.contains(&name) => Ok(()),
        Some(_) if names.is_empty() => {
            Err("the scenario has one machine; hint: leave out --machine".into())
        }
        Some(name) => {
            let hint = closest(name, names.iter().copied())
                .map(|near| format!("; hint: did you mean `{near}`?"))
                .unwrap_or_default();
            let names = names.join(", ");
            Err(format!(
                "no machine `{name}`; the scenario has {names}{hint}"
            ))
        }
    }
}

/// Finds a trial by SCENARIO or PROFILE::SCENARIO.
fn find_trial(project: &Project, name: &str) -> Result<Trial, Refusal> {
    let colour = terminal::colour(&std::io::stderr());
    let wrong = |errors: Vec<_>| Refusal::usage(render_all(&errors, colour));
    let trials = suite::trials(project).map_err(wrong)?;
    let fits = |trial: &&Trial| trial.name() == name || trial.scenario.name == name;
    if let Some(found) = trials.iter().find(fits) {
        return Ok(found.clone());
    }
    let names: Vec<_> = trials.iter().map(Trial::name).collect();
    let all = names.iter().map(String::as_str);
    let scenarios = trials.iter().map(|trial| trial.scenario.name.as_str());
    let hint = match closest(name, all.chain(scenarios)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "run `harness list`".into(),
    };
    Err(Refusal::usage(format!(
        "unknown scenario `{name}`; hint: {hint}"
    )))
}

/// `harness replay`.
pub(super) fn replay(project: &Project, options: ReplayOptions) -> Result<ExitCode, Refusal> {
    let past = PastTrial::open(&options.evidence).map_err(Refusal::usage)?;
    let (trial, cold) = past.trial(project).map_err(Refusal::infrastructure)?;
    let artifacts = past.artifacts(given(&options.trial)?, project, options.any_artifacts);
    let artifacts = artifacts.map_err(Refusal::infrastructure)?;
    if !options.any_artifacts {
        past.same_images(&trial).map_err(Refusal::infrastructure)?;
    }
    trial
        .profile
        .check_host()
        .map_err(Refusal::infrastructure)?;
    let mut how = options.trial.clone();
    how.cold |= cold;
    let mut settings = settings(project, &how, &options.failure);
    settings.seed = settings
        .seed
        .or(past.seed().map_err(Refusal::infrastructure)?);
    let runtime = runtime::new().map_err(Refusal::infrastructure)?;
    let now = runtime.block_on(trial.run(&artifacts, &settings));
    if let Err(failure) = &now {
        eprintln!("\n{}\n", failure.text());
    }
    super::print(&format!(
        "{}: {}\n",
        trial.name(),
        compare(past.ended().as_ref(), &now)
    ));
    Ok(match now {
        Ok(()) => exit::OK,
        Err(Failure::Failed(_)) => exit::FAILED,
        Err(Failure::Infrastructure(_)) => exit::INFRASTRUCTURE,
    }
    .into())
}

/// Compares the verdict of the replay with the recorded verdict.
fn compare(then: Option<&PastOutcome>, now: &Result<(), Failure>) -> String {
    let place = |step: Option<usize>, machine: Option<&str>| {
        let place = step.map_or("the boot".into(), |step| format!("step {step}"));
        let machine = machine.map(|name| format!(" on machine {name}"));
        place + &machine.unwrap_or_default()
    };
    let was = match then {
        None => "ended without a verdict".into(),
        Some(then) => match then.verdict {
            Verdict::Failed | Verdict::KnownFailure => {
                format!("failed at {}", place(then.step, then.failed_on.as_deref()))
            }
            Verdict::Passed => "passed".into(),
            Verdict::Flaky => "passed after a retry".into(),
            Verdict::Error => "ended with an error".into(),
        },
    };
    match now {
        Ok(()) => format!("passed; the recorded trial {was}"),
        Err(Failure::Infrastructure(_)) => format!("error; the recorded trial {was}"),
        Err(Failure::Failed(failed)) => {
            let here = place(failed.step, failed.failed_on.as_deref());
            let same = then.is_some_and(|then| {
                then.verdict == Verdict::Failed
                    && then.step == failed.step
                    && then.failed_on == failed.failed_on
            });
            if same {
                format!("failed again at the same place, {here}")
            } else {
                format!("failed at {here}; the recorded trial {was}")
            }
        }
    }
}

/// The settings of `harness test --verbose`.
fn settings(project: &Project, how: &TrialOptions, failure: &FailureOptions) -> Settings {
    let checkpoints = || CheckpointStore::new(project.checkpoints_folder());
    Settings {
        evidence: project.evidence_folder(),
        keep: how.keep,
        listeners: Listeners::default().with(terminal::lines()),
        checkpoints: (!how.cold).then(checkpoints),
        seed: failure.seed,
        machine_limit: evidence::limit(failure.keep_machine_limit),
        baseline: Baseline::default(),
    }
}

/// The artifacts from the command line or the environment.
fn given(options: &TrialOptions) -> Result<Option<Artifacts>, Refusal> {
    options.given.artifacts().map_err(Refusal::infrastructure)
}

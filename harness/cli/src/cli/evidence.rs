//! Commands about what a trial left.

use std::path::Path;
use std::process::ExitCode;

use events::Baseline;
use events::{Listeners, Verdict};
use harness::artifacts::{self, Artifacts};
use harness::interactive::{self, Entered};
use harness::project::Project;
use harness::{exit, suite, terminal};
use runner::checkpoint::CheckpointStore;
use runner::trial::{self, Ended, Failure, Past, Settings, Trial};
use yaml::{closest, render_all};

use super::Refusal;
use super::options::{BootOptions, EnterOptions, ReplayOptions};

/// `harness enter`.
pub(super) fn enter(project: &Project, options: EnterOptions) -> Result<ExitCode, Refusal> {
    let given = given(&options.boot)?;
    let (entered, artifacts) = match &options.before {
        Some(step) => {
            let settings = Box::new(settings(project, options.cold)?);
            let trial = Box::new(find_trial(project, &options.what)?);
            let step = trial.find_step(step).map_err(Refusal::usage)?;
            let obtained = || artifacts::obtain(project).map_err(Refusal::infrastructure);
            let artifacts = given.map_or_else(obtained, Ok)?;
            let entered = Entered::Before {
                trial,
                step,
                settings,
            };
            (entered, artifacts)
        }
        None => {
            let past = open(project, &options.what)?;
            // Told before anything is started.
            drop(past.machine().map_err(Refusal::infrastructure)?);
            for what in past.served(project) {
                eprintln!("note: the {what} that its trial gave it is gone");
            }
            let artifacts = past.artifacts_for_reboot(given, project);
            let artifacts = artifacts.map_err(Refusal::infrastructure)?;
            let paused = options.paused;
            (Entered::Past { past, paused }, artifacts)
        }
    };
    let entered = interactive::enter(interactive::EnterOptions {
        entered,
        artifacts,
        background: options.background,
        state_folder: project.state_folder(),
    });
    entered.map_err(Refusal::infrastructure)
}

/// An evidence folder; who gives a scenario forgot the step.
fn open(project: &Project, what: &str) -> Result<Past, Refusal> {
    Past::open(Path::new(what)).map_err(|why| {
        let hint = match find_trial(project, what) {
            Ok(_) => format!("; to stop a trial of {what} at a step, say --before STEP"),
            Err(_) => String::new(),
        };
        Refusal::usage(why + &hint)
    })
}

/// The trial that is named by SCENARIO or PROFILE::SCENARIO.
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
    let meant = closest(name, all.chain(scenarios));
    let meant = meant.map(|near| format!("; did you mean `{near}`?"));
    let meant = meant.unwrap_or_default();
    Err(Refusal::usage(format!(
        "there is no scenario `{name}`{meant}; see `harness list`"
    )))
}

/// `harness replay`.
pub(super) fn replay(project: &Project, options: ReplayOptions) -> Result<ExitCode, Refusal> {
    let past = Past::open(&options.evidence).map_err(Refusal::usage)?;
    let (trial, cold) = past.trial(project).map_err(Refusal::infrastructure)?;
    let artifacts = past.artifacts(given(&options.boot)?, project, options.any_artifacts);
    let artifacts = artifacts.map_err(Refusal::infrastructure)?;
    if !options.any_artifacts {
        past.same_images(&trial).map_err(Refusal::infrastructure)?;
    }
    trial
        .profile
        .check_host()
        .map_err(Refusal::infrastructure)?;
    let mut settings = settings(project, cold)?;
    settings.seed = settings
        .seed
        .or(past.seed().map_err(Refusal::infrastructure)?);
    let runtime = tokio::runtime::Runtime::new().map_err(Refusal::infrastructure)?;
    let now = runtime.block_on(trial.run(&artifacts, &settings));
    if let Err(failure) = &now {
        eprintln!("\n{}\n", failure.text());
    }
    super::print(&format!(
        "{}: {}\n",
        trial.name(),
        compared(past.ended().as_ref(), &now)
    ));
    Ok(match now {
        Ok(()) => exit::OK,
        Err(Failure::Failed(_)) => exit::RED,
        Err(Failure::Infrastructure(_)) => exit::INFRASTRUCTURE,
    }
    .into())
}

/// How it went, and how it went then.
fn compared(then: Option<&Ended>, now: &Result<(), Failure>) -> String {
    let place = |step: Option<usize>| match step {
        Some(step) => format!("step {step}"),
        None => "the boot".into(),
    };
    let was = match then {
        None => "had no verdict".into(),
        Some(then) => match then.verdict {
            Verdict::Failed | Verdict::KnownFailure => format!("was red at {}", place(then.step)),
            Verdict::Passed => "had passed".into(),
            Verdict::Flaky => "had passed, but not at once".into(),
            Verdict::Error => "had no verdict".into(),
        },
    };
    match now {
        Ok(()) => format!("passed now; it {was}"),
        Err(Failure::Infrastructure(_)) => format!("no verdict now; it {was}"),
        Err(Failure::Failed(red)) => {
            let here = place(red.step);
            let same = then.is_some_and(|t| t.verdict == Verdict::Failed && t.step == red.step);
            match same {
                true => format!("red again at the same place, {here}"),
                false => format!("red at {here}; it {was}"),
            }
        }
    }
}

/// As for `harness test --verbose`.
fn settings(project: &Project, cold: bool) -> Result<Settings, Refusal> {
    let environment = suite::Options::from_environment().map_err(Refusal::usage)?;
    let cold = cold || environment.cold;
    Ok(Settings {
        evidence: project.evidence_folder(),
        keep: environment.keep,
        listeners: Listeners::default().with(terminal::lines()),
        checkpoints: (!cold).then(|| CheckpointStore::new(project.checkpoints_folder())),
        seed: environment.seed,
        machine_limit: trial::limit(environment.machine_limit),
        usual: Baseline::default(),
    })
}

/// What the command line names, else the environment.
fn given(options: &BootOptions) -> Result<Option<Artifacts>, Refusal> {
    match (&options.kernel, &options.initrd) {
        (Some(kernel), Some(initrd)) => Ok(Some(Artifacts {
            kernel: kernel.clone(),
            initrd: initrd.clone(),
        })),
        _ => artifacts::given().map_err(Refusal::infrastructure),
    }
}

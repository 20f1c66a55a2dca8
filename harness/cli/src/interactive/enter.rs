//! `harness enter`: restores the failure snapshot of a trial, or runs a trial up to a step. The machine
//! takes the place of the machine of `harness run`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::boot::{Booting, Kind};
use super::member::Member;
use super::running::RunningMachine;
use super::state::{Claim, StateFolder};
use super::{background, foreground, other};
use crate::artifacts::Artifacts;
use crate::exit;
use machine::{Machine, MachineError, RANCHEROS};
use runner::Project;
use runner::evidence::Evidence;
use runner::replay::PastTrial;
use runner::trial::{Failure, Settings, StoppedMachine, Trial};

/// How many lines of the serial log are shown.
const SHOWN_LINES: usize = 30;

/// The options of `harness enter`.
pub struct EnterOptions {
    /// The machine to enter.
    pub entered: Entered,
    /// Its name, if the trial has several; `None` for all of them.
    pub machine: Option<String>,
    /// The project of the trial.
    pub project: Project,
    /// The artifacts that a boot or reboot uses.
    pub artifacts: Artifacts,
    /// Leave the machine running in the background.
    pub background: bool,
    /// The state folder, where `harness ssh` looks for the machine.
    pub state_folder: std::path::PathBuf,
}

/// The machine to enter.
pub enum Entered {
    /// The failure snapshot of a trial.
    PastTrial {
        /// The trial's evidence.
        past: PastTrial,
        /// Whether it is paused until the user resumes it.
        paused: bool,
    },
    /// A trial that is run up to a step.
    Before {
        /// The trial.
        trial: Box<Trial>,
        /// The number of the step, from 1.
        step: usize,
        /// How it is run.
        settings: Box<Settings>,
    },
}

/// Restores the machine, or runs the trial up to the step, with the serial console in this terminal.
///
/// # Errors
/// There is no machine to enter, or it failed.
pub fn enter(options: EnterOptions) -> Result<ExitCode, MachineError> {
    let (state, failed) = (options.state_folder.clone(), AtomicBool::new(false));
    let ended = match (background::is_owner(), options.background) {
        (true, _) => background::own(begin(options, &failed)),
        (false, true) => background::start(&state),
        (false, false) => foreground::run(begin(options, &failed)),
    };
    match ended {
        Err(verdict) if failed.into_inner() => {
            eprintln!("{verdict}");
            Ok(exit::FAILED.into())
        }
        ended => ended,
    }
}

async fn begin(options: EnterOptions, failed: &AtomicBool) -> Result<Booting, MachineError> {
    let state = StateFolder::new(&options.state_folder);
    let claim = state.claim()?;
    let name = options.machine.as_deref();
    match options.entered {
        Entered::PastTrial { past, paused } => {
            let (artifacts, project) = (&options.artifacts, &options.project);
            restore(&past, name, paused, (artifacts, project), &state, claim).await
        }
        Entered::Before {
            trial,
            step,
            settings,
        } => {
            let artifacts = &options.artifacts;
            let stopped = trial.stop_before(step, artifacts, &settings).await;
            let stopped = stopped.map_err(|failure| {
                failed.store(matches!(failure, Failure::Failed(_)), Ordering::Relaxed);
                other(failure.text())
            })?;
            let wanted = |one: &StoppedMachine<'_>| name.is_none() || one.name == name;
            let mut machines = Vec::new();
            for one in stopped.machines().filter(wanted) {
                let key = trial.scenario.machine.ssh_key;
                let key = key.then_some(one.keys.private.as_str());
                let login = prepare_login(&state, one.name, one.machine, key)?;
                let login = format!("before step {step}: {login}");
                machines.push(entered(one.name, one.machine.clone(), login));
            }
            record(&claim, &machines)?;
            let alone = stopped.machine(machines[0].name.as_deref());
            let alone = alone.filter(|_| machines.len() == 1);
            let before = alone.map(|one| last_lines(one.evidence.folder()));
            Ok(Booting {
                machines,
                evidence: stopped.evidence.clone(),
                kind: Kind::Entered { paused: false },
                before: before.unwrap_or_default(),
                claim,
                held: Some(Box::new(stopped)),
            })
        }
    }
}

async fn restore(
    past: &PastTrial,
    name: Option<&str>,
    paused: bool,
    (artifacts, project): (&Artifacts, &Project),
    state: &StateFolder,
    claim: Claim,
) -> Result<Booting, MachineError> {
    let evidence = state.evidence("enter")?;
    let restored = past.restore(name, paused, artifacts, project, &evidence);
    let restored = restored.await.map_err(other)?;
    let mut machines = Vec::new();
    for one in &restored.machines {
        let name = one.name.as_deref();
        let key = past.key(name).map(std::fs::read_to_string).transpose();
        let login = prepare_login(state, name, &one.machine, key.map_err(other)?.as_deref())?;
        machines.push(entered(name, one.machine.clone(), login));
    }
    record(&claim, &machines)?;
    let before = match &machines[..] {
        [one] => last_lines(&past.logs(one.name.as_deref())),
        _ => String::new(),
    };
    Ok(Booting {
        machines,
        evidence,
        kind: Kind::Entered { paused },
        before,
        claim,
        held: Some(Box::new(restored)),
    })
}

fn entered(name: Option<&str>, machine: Arc<Machine>, login: String) -> Member {
    Member {
        name: name.map(str::to_owned),
        address: None,
        machine,
        login,
    }
}

/// Lets `harness ssh` find the machines.
fn record(claim: &Claim, entered: &[Member]) -> Result<(), MachineError> {
    let recorded = entered.iter().map(|one| RunningMachine {
        name: one.name.clone(),
        port: one.machine.ssh_port(),
    });
    claim.record(&recorded.collect::<Vec<_>>()).map_err(other)
}

/// Writes the key for `harness ssh`, and returns how to log in.
fn prepare_login(
    state: &StateFolder,
    name: Option<&str>,
    machine: &Machine,
    key: Option<&str>,
) -> Result<String, MachineError> {
    let (port, user) = (machine.ssh_port(), RANCHEROS.user);
    let Some(key) = key else {
        let method = "with a password, because its scenario installs no key";
        return Ok(format!("ssh -p {port} {user}@localhost, {method}"));
    };
    let key = state.write_login_key(name, key)?;
    let key = base::shell::quote(&key.to_string_lossy());
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    Ok(format!(
        "harness ssh{name}, or ssh -i {key} -p {port} {user}@localhost"
    ))
}

/// The last lines of the serial log of the trial.
fn last_lines(evidence: &Path) -> String {
    let log = std::fs::read(evidence.join("serial.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&log);
    let begin = text.rmatch_indices('\n').nth(SHOWN_LINES);
    text[begin.map_or(0, |(at, _)| at + 1)..].to_owned()
}

impl StateFolder {
    /// Creates the evidence folder, and removes that of the previous run.
    pub(super) fn evidence(&self, name: &str) -> Result<Evidence, MachineError> {
        let kept = self.file("evidence");
        let _ = std::fs::remove_dir_all(&kept);
        Evidence::begin(&kept, name).map_err(|e| other(format!("{}: {e}", kept.display())))
    }
}

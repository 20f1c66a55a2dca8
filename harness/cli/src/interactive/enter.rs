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
use runner::evidence::Evidence;
use runner::replay::PastTrial;
use runner::trial::{Failure, Settings, Trial};

/// How many lines of the serial log are shown.
const SHOWN_LINES: usize = 30;

/// The options of `harness enter`.
pub struct EnterOptions {
    /// The machine to enter.
    pub entered: Entered,
    /// Its name, if the trial has several.
    pub machine: Option<String>,
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
            restore(&past, name, paused, &options.artifacts, &state, claim).await
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
            let gone = || other("the machine does not exist");
            let (machine, keys, evidence) = stopped.machine(name).ok_or_else(gone)?;
            let key = trial.scenario.machine.ssh_key;
            let key = key.then(|| keys.private.clone());
            let login = prepare_login(&state, machine, key.as_deref())?;
            let login = format!("before step {step}: {login}");
            let entered = entered(name, machine.clone(), login);
            record(&claim, &entered)?;
            Ok(Booting {
                machines: vec![entered],
                evidence: evidence.clone(),
                kind: Kind::Entered { paused: false },
                before: last_lines(evidence.folder()),
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
    artifacts: &Artifacts,
    state: &StateFolder,
    claim: Claim,
) -> Result<Booting, MachineError> {
    let snapshot = past.machine(name).map_err(other)?;
    let evidence = state.evidence("enter")?;
    let initrd = Some(artifacts.initrd.as_path());
    let machine = Machine::restore(
        &snapshot,
        &artifacts.kernel,
        initrd,
        paused,
        evidence.logs(),
    )
    .await?;
    let key = past.key(name).map(std::fs::read_to_string).transpose();
    let login = prepare_login(state, &machine, key.map_err(other)?.as_deref())?;
    let entered = entered(name, machine.into(), login);
    record(&claim, &entered)?;
    Ok(Booting {
        machines: vec![entered],
        evidence,
        kind: Kind::Entered { paused },
        before: last_lines(&past.logs(name)),
        claim,
        held: Some(Box::new(snapshot)),
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

/// Lets `harness ssh` find the machine.
fn record(claim: &Claim, entered: &Member) -> Result<(), MachineError> {
    let recorded = RunningMachine {
        name: entered.name.clone(),
        port: entered.machine.ssh_port(),
    };
    claim.record(&[recorded]).map_err(other)
}

/// Writes the key for `harness ssh`, and returns how to log in.
fn prepare_login(
    state: &StateFolder,
    machine: &Machine,
    key: Option<&str>,
) -> Result<String, MachineError> {
    let (port, user) = (machine.ssh_port(), RANCHEROS.user);
    let Some(key) = key else {
        let method = "with a password, because its scenario installs no key";
        return Ok(format!("ssh -p {port} {user}@localhost, {method}"));
    };
    let key = state.write_login_key(key)?;
    let key = base::shell::quote(&key.to_string_lossy());
    Ok(format!(
        "harness ssh, or ssh -i {key} -p {port} {user}@localhost"
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

//! `harness enter`: a machine that a trial left, or one that stands before a step, in the place of
//! the machine of `harness run`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use super::boot::{Booting, Kind};
use super::state::{Claim, StateFolder};
use super::{background, foreground, other};
use crate::artifacts::Artifacts;
use crate::exit;
use machine::{Machine, MachineError};
use runner::evidence::Evidence;
use runner::trial::{Failure, Past, Settings, Trial};

/// Lines of its serial log that are shown.
const SHOWN_LINES: usize = 30;

/// What `harness enter` was asked for.
pub struct EnterOptions {
    /// What is entered.
    pub entered: Entered,
    /// What is booted, or would be after a reboot.
    pub artifacts: Artifacts,
    /// Come back at once and leave the machine running.
    pub background: bool,
    /// Where `harness ssh` looks for the machine.
    pub state_folder: std::path::PathBuf,
}

/// What is entered.
pub enum Entered {
    /// The machine that a trial left.
    Past {
        /// The trial's evidence.
        past: Past,
        /// It stands still until somebody resumes it.
        paused: bool,
    },
    /// A trial that is run until it stands before a step.
    Before {
        /// The trial.
        trial: Box<Trial>,
        /// The number of the step, from 1.
        step: usize,
        /// How it is run.
        settings: Box<Settings>,
    },
}

/// Brings the machine back, or up to the step, with its serial console in this terminal.
///
/// # Errors
/// There is no machine to enter, or it broke.
pub fn enter(options: EnterOptions) -> Result<ExitCode, MachineError> {
    let (state, red) = (options.state_folder.clone(), AtomicBool::new(false));
    let ended = match (background::is_owner(), options.background) {
        (true, _) => background::own(begin(options, &red)),
        (false, true) => background::start(&state),
        (false, false) => foreground::run(begin(options, &red)),
    };
    match ended {
        Err(verdict) if red.into_inner() => {
            eprintln!("{verdict}");
            Ok(exit::RED.into())
        }
        ended => ended,
    }
}

async fn begin(options: EnterOptions, red: &AtomicBool) -> Result<Booting, MachineError> {
    let state = StateFolder::new(&options.state_folder);
    let claim = state.claim()?;
    match options.entered {
        Entered::Past { past, paused } => {
            back(&past, paused, &options.artifacts, &state, claim).await
        }
        Entered::Before {
            trial,
            step,
            settings,
        } => {
            let artifacts = &options.artifacts;
            let stopped = trial.stop_before(step, artifacts, &settings).await;
            let stopped = stopped.map_err(|failure| {
                red.store(matches!(failure, Failure::Failed(_)), Ordering::Relaxed);
                other(failure.text())
            })?;
            let key = trial.scenario.machine.ssh_key;
            let key = key.then(|| stopped.keys().private.clone());
            let login = let_in(&state, stopped.machine(), key.as_deref())?;
            claim
                .tell(Some(stopped.machine().ssh_port()))
                .map_err(other)?;
            Ok(Booting {
                machine: stopped.machine().clone(),
                evidence: stopped.evidence.clone(),
                login: format!("before step {step}: {login}"),
                kind: Kind::Entered { paused: false },
                before: last_lines(stopped.evidence.folder()),
                claim,
                held: Some(Box::new(stopped)),
            })
        }
    }
}

async fn back(
    past: &Past,
    paused: bool,
    artifacts: &Artifacts,
    state: &StateFolder,
    claim: Claim,
) -> Result<Booting, MachineError> {
    let kept = past.machine().map_err(other)?;
    let evidence = state.evidence("enter")?;
    let initrd = Some(artifacts.initrd.as_path());
    let machine =
        Machine::restore(&kept, &artifacts.kernel, initrd, paused, evidence.logs()).await?;
    let key = past.key().map(std::fs::read_to_string).transpose();
    let login = let_in(state, &machine, key.map_err(other)?.as_deref())?;
    claim.tell(Some(machine.ssh_port())).map_err(other)?;
    Ok(Booting {
        machine: machine.into(),
        evidence,
        login,
        kind: Kind::Entered { paused },
        before: last_lines(&past.left()),
        claim,
        held: Some(Box::new(kept)),
    })
}

/// Leaves the key where `harness ssh` finds it; tells people how to log in.
fn let_in(
    state: &StateFolder,
    machine: &Machine,
    key: Option<&str>,
) -> Result<String, MachineError> {
    let port = machine.ssh_port();
    let Some(key) = key else {
        let with = "with a password, for its scenario puts no key on it";
        return Ok(format!("ssh -p {port} rancher@localhost, {with}"));
    };
    let key = state.let_in(key)?;
    let key = base::shell::quote(&key.to_string_lossy());
    Ok(format!(
        "harness ssh, or ssh -i {key} -p {port} rancher@localhost"
    ))
}

/// The end of what the machine said when it was a trial's.
fn last_lines(evidence: &Path) -> String {
    let log = std::fs::read(evidence.join("serial.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&log);
    let begin = text.rmatch_indices('\n').nth(SHOWN_LINES);
    text[begin.map_or(0, |(at, _)| at + 1)..].to_owned()
}

impl StateFolder {
    /// A new evidence folder: that of the last run is kept, not all of them.
    pub(super) fn evidence(&self, name: &str) -> Result<Evidence, MachineError> {
        let kept = self.file("evidence");
        let _ = std::fs::remove_dir_all(&kept);
        Evidence::begin(&kept, name).map_err(|e| other(format!("{}: {e}", kept.display())))
    }
}

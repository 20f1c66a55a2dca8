//! One trial: let in, tried, tried again, and told to libtest-mimic.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Completion, Failed};

use crate::artifacts::Artifacts;
use base::wait;
use events::{Listeners, Verdict};
use host::admission::{AdmissionQueue, Admitted, Host};
use machine::profile::Accelerator;
use report::ProgressReporter;
use runner::history::{History, Recorder};
use runner::trial::{Settings, Trial};

use super::Options;
use super::matrix::demand;
use super::retry::{Attempts, Conclusion, Rules};

/// What the trials of one run share.
pub(super) struct Shared {
    pub(super) options: Options,
    /// There before the first trial runs; not while they are only listed.
    pub(super) ready: OnceLock<Ready>,
    /// Some trial had no machine to judge.
    pub(super) infrastructure: AtomicBool,
}

/// What they need to run.
pub(super) struct Ready {
    pub(super) artifacts: Artifacts,
    pub(super) settings: Settings,
    pub(super) history: History,
    pub(super) recorder: Recorder,
    pub(super) live: Option<ProgressReporter>,
}

type Verdicted = Result<Completion, Failed>;

impl Shared {
    /// Runs one trial to its end.
    pub(super) fn one(&self, trial: &Trial) -> Verdicted {
        let Some(ready) = self.ready.get() else {
            return self.infrastructure("there is nothing to boot");
        };
        match runtime() {
            Ok(runtime) => runtime.block_on(self.attempts(trial, ready)),
            Err(error) => self.infrastructure(&error.to_string()),
        }
    }

    /// Attempts until one is the last.
    async fn attempts(&self, trial: &Trial, ready: &Ready) -> Verdicted {
        let name = trial.name();
        let rules = Rules::of(&trial.scenario, self.options.retries);
        let attempts = Attempts::new(rules, ready.settings.listeners.clone());
        let settings = Settings {
            listeners: Listeners::default().with(attempts.clone()),
            ..ready.settings.clone()
        };
        let conclusion = loop {
            let before = attempts.count();
            let attempt = attempt(trial, ready, &settings);
            let ended = wait::watched(ready.watcher(&name), attempt).await;
            // Before it began: there was no room, or nowhere to put its evidence.
            if attempts.count() == before {
                let why = ended.err().unwrap_or_else(|| "it did not begin".into());
                return self.infrastructure(&why);
            }
            if let Some(conclusion) = attempts.concluded() {
                break conclusion;
            }
        };
        if conclusion.verdict == Verdict::Passed {
            let known_as = known_as(trial, &ready.artifacts, &self.options);
            let (recorder, history) = (&ready.recorder, &ready.history);
            recorder.keep(&name, &known_as, &trial.scenario, history);
        }
        self.completion(conclusion)
    }

    /// The verdict as libtest-mimic knows it, to which all but a pass and a failure is ignored.
    fn completion(&self, conclusion: Conclusion) -> Verdicted {
        let why = conclusion.why.unwrap_or_default();
        let head = || why.lines().next().unwrap_or_default().to_owned();
        match conclusion.verdict {
            Verdict::Passed => Ok(Completion::Completed),
            Verdict::KnownFailure => Ok(Completion::ignored_with(why)),
            Verdict::Flaky if self.options.flaky_ok => Ok(Completion::ignored_with(head())),
            Verdict::Flaky | Verdict::Failed => Err(why.into()),
            Verdict::Error => self.infrastructure(&why),
        }
    }

    fn infrastructure(&self, why: &str) -> Verdicted {
        self.infrastructure.store(true, Ordering::Relaxed);
        Err(format!("no verdict: {why}").into())
    }
}

/// What a trial runs on.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

impl Ready {
    /// Who is told what a trial waits for.
    fn watcher(&self, trial: &str) -> wait::Watcher {
        let (live, trial) = (self.live.clone(), trial.to_owned());
        Arc::new(move |what, seen| {
            if let Some(live) = &live {
                live.waits(&trial, what, seen);
            }
        })
    }
}

/// One attempt, when there is room for its machine. How it ended is told to who listens.
async fn attempt(trial: &Trial, ready: &Ready, settings: &Settings) -> Result<(), String> {
    let _room = room(trial, &ready.artifacts, settings).await?;
    // On the heap: it is large, and this thread's stack is not.
    let ended = Box::pin(trial.run(&ready.artifacts, settings)).await;
    ended.map_err(|failure| failure.text().to_owned())
}

/// Waits until there is room for a trial's machine on this host.
pub(crate) async fn room(
    trial: &Trial,
    artifacts: &Artifacts,
    settings: &Settings,
) -> Result<Admitted, String> {
    let wanted = demand(trial, trial.boots(artifacts, settings));
    let ledger = AdmissionQueue::of_host().map_err(|error| error.to_string())?;
    let room = ledger.admit(wanted, Host::here).await;
    room.map_err(|error| error.to_string())
}

/// What a trial's times stand under in the history: not those of another accelerator, nor those of
/// a boot where they should be of a fork.
pub(super) fn known_as(trial: &Trial, artifacts: &Artifacts, options: &Options) -> String {
    let accelerator = match trial.profile.resolve(&artifacts.kernel) {
        Ok(resolved) if resolved.accelerator == Accelerator::Kvm => "kvm",
        _ => "tcg",
    };
    let cold = if options.cold { " cold" } else { "" };
    format!("{} {accelerator}{cold}", trial.name())
}

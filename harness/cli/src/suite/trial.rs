//! Runs one trial: admission, attempts, retries, and the result for libtest-mimic.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Completion, Failed};

use crate::artifacts::Artifacts;
use crate::runtime;
use base::wait;
use events::{EventKind, Listeners, Verdict};
use host::admission::{AdmissionQueue, Admitted, Host};
use machine::profile::Accelerator;
use report::ProgressReporter;
use runner::history::{History, Recorder};
use runner::trial::{Settings, Trial};

use super::Options;
use super::budget::Plan;
use super::matrix::request;
use super::retry::{Attempts, Conclusion, Rules};

/// The state that the trials of one run share.
pub(super) struct Shared {
    pub(super) options: Options,
    /// Set before the first trial runs; not set if the trials are only listed.
    pub(super) ready: OnceLock<Ready>,
    /// An error prevented the verdict of a trial.
    pub(super) infrastructure: AtomicBool,
}

/// What the trials need to run.
pub(super) struct Ready {
    pub(super) artifacts: Artifacts,
    pub(super) settings: Settings,
    pub(super) history: History,
    pub(super) recorder: Recorder,
    pub(super) live: Option<ProgressReporter>,
    /// The order and the budget of the run, if it has one.
    pub(super) plan: Option<Plan>,
}

type TestResult = Result<Completion, Failed>;

impl Shared {
    /// Runs one trial to its end.
    pub(super) fn one(&self, trial: &Trial) -> TestResult {
        let Some(ready) = self.ready.get() else {
            return self.infrastructure("no artifacts to boot");
        };
        if let Some(reason) = ready
            .plan
            .as_ref()
            .and_then(|plan| plan.leave_out(&trial.name()))
        {
            let left_out = EventKind::TrialLeftOut {
                trial: trial.name(),
                reason: reason.clone(),
            };
            ready.settings.listeners.emit(left_out);
            return Ok(Completion::ignored_with(reason));
        }
        match runtime::new() {
            Ok(runtime) => runtime.block_on(self.attempts(trial, ready)),
            Err(error) => self.infrastructure(&error.to_string()),
        }
    }

    /// Runs attempts until the rules conclude.
    async fn attempts(&self, trial: &Trial, ready: &Ready) -> TestResult {
        let name = trial.name();
        let rules = Rules::of(&trial.scenario, self.options.retries.unwrap_or(0));
        let attempts = Attempts::new(rules, ready.settings.listeners.clone());
        let settings = Settings {
            listeners: Listeners::default().with(attempts.clone()),
            ..ready.settings.clone()
        };
        let conclusion = loop {
            let before = attempts.count();
            let attempt = attempt(trial, ready, &settings);
            let ended = wait::watched(ready.watcher(&name), attempt).await;
            // The attempt failed before it began, for example during admission.
            if attempts.count() == before {
                let why = ended
                    .err()
                    .unwrap_or_else(|| "the trial did not begin".into());
                return self.infrastructure(&why);
            }
            if let Some(conclusion) = attempts.concluded() {
                break conclusion;
            }
        };
        // An error says nothing about the guest: a failure before it is still the last verdict.
        let failed = conclusion.verdict == Verdict::Failed;
        if conclusion.verdict != Verdict::Error
            && let Err(error) = ready.history.record_verdict(&name, failed)
        {
            log::warn!("the verdict of {name} is not in the history: {error}");
        }
        if conclusion.verdict == Verdict::Passed {
            let key = history_key(trial, &ready.artifacts, &self.options);
            let (recorder, history) = (&ready.recorder, &ready.history);
            recorder.keep(&name, &key, &trial.scenario, history);
        }
        self.completion(conclusion)
    }

    /// Converts the conclusion for libtest-mimic, which knows only passed, failed and ignored.
    fn completion(&self, conclusion: Conclusion) -> TestResult {
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

    fn infrastructure(&self, why: &str) -> TestResult {
        self.infrastructure.store(true, Ordering::Relaxed);
        Err(format!("error: {why}").into())
    }
}

impl Ready {
    /// The watcher that shows what a trial waits for.
    fn watcher(&self, trial: &str) -> wait::Watcher {
        let (live, trial) = (self.live.clone(), trial.to_owned());
        Arc::new(move |what, seen| {
            if let Some(live) = &live {
                live.waits(&trial, what, seen);
            }
        })
    }
}

/// Runs one attempt after its admission. The listeners receive its events.
async fn attempt(trial: &Trial, ready: &Ready, settings: &Settings) -> Result<(), String> {
    let _admitted = admit(trial, &ready.artifacts, settings).await?;
    // Boxed, because the future is too large for the stack of this thread.
    let ended = Box::pin(trial.run(&ready.artifacts, settings)).await;
    ended.map_err(|failure| failure.text().to_owned())
}

/// Waits until this host has the resources for a trial's machine.
pub(crate) async fn admit(
    trial: &Trial,
    artifacts: &Artifacts,
    settings: &Settings,
) -> Result<Admitted, String> {
    let wanted = request(trial, trial.boots(artifacts, settings));
    let queue = AdmissionQueue::of_host().map_err(|error| error.to_string())?;
    let admitted = queue.admit(wanted, Host::here).await;
    admitted.map_err(|error| error.to_string())
}

/// The key of a trial in the history. Durations with another accelerator, or of a boot instead of a fork, have
/// different keys.
pub(super) fn history_key(trial: &Trial, artifacts: &Artifacts, options: &Options) -> String {
    let accelerator = match trial.profile.resolve(&artifacts.kernel) {
        Ok(resolved) if resolved.accelerator == Accelerator::Kvm => "kvm",
        _ => "tcg",
    };
    let cold = if options.trial.cold { " cold" } else { "" };
    format!("{} {accelerator}{cold}", trial.name())
}

//! Ctrl-C and SIGTERM during a run: the results so far are printed and written before the process exits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::signal::{SigSet, Signal, raise};

use base::clock::now;
use events::{Event, EventKind, Listener, Listeners, Verdict};

/// The signals that end a run: Ctrl-C, `kill`, and a closed terminal.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The progress of a run: the running trials, and the failed trials with their reasons.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// The listeners to notify of an interruption, and whether they print the reasons of failures.
    listeners: OnceLock<(Listeners, bool)>,
}

#[derive(Default)]
struct State {
    begin: Option<f64>,
    running: BTreeMap<String, (f64, PathBuf)>,
    failed: Vec<(String, String)>,
}

impl Progress {
    /// Handles the signals in a thread from now on. Call it before other threads are started: they
    /// inherit the blocked signals. Child processes do not.
    pub(super) fn watch() -> Self {
        let progress = Self::default();
        let signals = SIGNALS.into_iter().collect::<SigSet>();
        if signals.thread_block().is_err() {
            return progress;
        }
        let handler = progress.clone();
        let wait = move || {
            let signal = signals.wait().unwrap_or(Signal::SIGTERM);
            // A second signal ends the process immediately, even if the output is incomplete.
            let _ = signals.thread_unblock();
            eprint!("{}", handler.interrupted(signal));
            let _ = raise(signal);
        };
        let named = std::thread::Builder::new().name("signals".into());
        if named.spawn(wait).is_err() {
            let _ = signals.thread_unblock();
        }
        progress
    }

    /// Sets the listeners to notify of an interruption; `print` means that they print why trials failed.
    pub(super) fn notify(&self, listeners: Listeners, print: bool) {
        let _ = self.0.listeners.set((listeners, print));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Emits the end of all running trials and of the run. Returns the text that remains to be printed.
    fn interrupted(&self, signal: Signal) -> String {
        let reason = format!("interrupted by {signal}");
        let Some((listeners, print)) = self.0.listeners.get() else {
            return format!("\n{reason}\n");
        };
        let running = std::mem::take(&mut self.state().running);
        for (trial, (began, evidence)) in &running {
            listeners.emit(EventKind::TrialEnds {
                trial: trial.clone(),
                verdict: Verdict::Error,
                duration: now() - began,
                step: None,
                reason: Some(reason.clone()),
                evidence: Some(evidence.clone()),
                machine: None,
                failed_on: None,
            });
        }
        let begin = self.state().begin;
        let duration = begin.map_or(0.0, |begin| now() - begin);
        listeners.emit(EventKind::RunEnds { duration });
        if *print {
            return format!("{reason}\n");
        }
        let mut text = format!("\n{reason}\n");
        for (trial, why) in &self.state().failed {
            let _ = write!(text, "\n---- {trial} ----\n{}\n", why.trim_end());
        }
        text
    }
}

impl Listener for Progress {
    fn on_event(&self, event: &Event) {
        let mut state = self.state();
        match &event.kind {
            EventKind::RunBegins { .. } => state.begin = Some(event.timestamp),
            EventKind::TrialBegins {
                trial, evidence, ..
            } => {
                let started = (event.timestamp, evidence.clone());
                state.running.insert(trial.clone(), started);
            }
            EventKind::TrialEnds {
                trial,
                verdict,
                reason,
                ..
            } => {
                state.running.remove(trial);
                if !matches!(verdict, Verdict::Passed | Verdict::KnownFailure) {
                    let reason = reason.clone().unwrap_or_default();
                    state.failed.push((trial.clone(), reason));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Recorded(Arc<Mutex<Vec<EventKind>>>);

    impl Listener for Recorded {
        fn on_event(&self, event: &Event) {
            self.0.lock().unwrap().push(event.kind.clone());
        }
    }

    fn begins(trial: &str) -> EventKind {
        EventKind::TrialBegins {
            trial: trial.into(),
            about: String::new(),
            file: PathBuf::new(),
            steps: Vec::new(),
            machines: Vec::new(),
            evidence: "/evidence".into(),
        }
    }

    fn ends(trial: &str, verdict: Verdict, why: &str) -> EventKind {
        EventKind::TrialEnds {
            trial: trial.into(),
            verdict,
            duration: 1.0,
            step: None,
            reason: Some(why.into()),
            evidence: None,
            machine: None,
            failed_on: None,
        }
    }

    #[test]
    fn interrupted_reports_failed_and_running_trials() {
        for print in [false, true] {
            let (progress, recorded) = (Progress::default(), Recorded::default());
            let listeners = Listeners::default()
                .with(progress.clone())
                .with(recorded.clone());
            progress.notify(listeners.clone(), print);
            listeners.emit(EventKind::RunBegins {
                trials: vec![],
                ignored: vec![],
            });
            for trial in ["q35::tea", "q35::milk", "q35::sugar"] {
                listeners.emit(begins(trial));
            }
            listeners.emit(ends("q35::milk", Verdict::Failed, "q35::milk: sour\n"));
            listeners.emit(ends("q35::tea", Verdict::Passed, ""));
            recorded.0.lock().unwrap().clear();

            let text = progress.interrupted(Signal::SIGINT);
            let reasons = text.contains("---- q35::milk ----\nq35::milk: sour\n");
            assert_eq!(reasons, !print, "{text}");
            assert!(text.contains("interrupted by SIGINT"), "{text}");
            let recorded = recorded.0.lock().unwrap();
            let [
                EventKind::TrialEnds {
                    trial,
                    verdict,
                    reason,
                    ..
                },
                EventKind::RunEnds { .. },
            ] = &recorded[..]
            else {
                panic!("{recorded:?}");
            };
            assert_eq!((trial.as_str(), *verdict), ("q35::sugar", Verdict::Error));
            assert_eq!(reason.as_deref(), Some("interrupted by SIGINT"));
        }
    }

    #[test]
    fn interrupted_before_the_run_prints_only_the_signal() {
        let text = Progress::default().interrupted(Signal::SIGTERM);
        assert_eq!(text, "\ninterrupted by SIGTERM\n");
    }
}

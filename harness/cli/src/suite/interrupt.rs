//! Ctrl-C and SIGTERM in a run: what is known by then is printed and written before the process ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::signal::{SigSet, Signal, raise};

use base::clock::now;
use events::{Event, Listener, Listeners, Verdict, What};

/// Signals that end a run: Ctrl-C, `kill`, and a terminal that goes away.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// How far a run is: which trials run, and which failed with which reason.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Who is told of an early end, and whether they print reasons themselves.
    told: OnceLock<(Listeners, bool)>,
}

#[derive(Default)]
struct State {
    begin: Option<f64>,
    running: BTreeMap<String, (f64, PathBuf)>,
    failed: Vec<(String, String)>,
}

impl Progress {
    /// Takes the signals over from here on, so it must come before other threads are started: they
    /// inherit that the signals are blocked in them. Programs that are started do not.
    pub(super) fn watch() -> Self {
        let progress = Self::default();
        let signals = SIGNALS.into_iter().collect::<SigSet>();
        if signals.thread_block().is_err() {
            return progress;
        }
        let theirs = progress.clone();
        let waits = move || {
            let signal = signals.wait().unwrap_or(Signal::SIGTERM);
            // A second one ends the process at once, whatever the first one is still writing.
            let _ = signals.thread_unblock();
            eprint!("{}", theirs.interrupted(signal));
            let _ = raise(signal);
        };
        let named = std::thread::Builder::new().name("signals".into());
        if named.spawn(waits).is_err() {
            let _ = signals.thread_unblock();
        }
        progress
    }

    /// Who is told when the run is interrupted; `print` says that they print why trials failed.
    pub(super) fn tells(&self, listeners: Listeners, print: bool) {
        let _ = self.0.told.set((listeners, print));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run for everybody who listens. Gives the text that is left to print.
    fn interrupted(&self, signal: Signal) -> String {
        let by = format!("interrupted by {signal}");
        let Some((listeners, print)) = self.0.told.get() else {
            return format!("\n{by}\n");
        };
        let running = std::mem::take(&mut self.state().running);
        for (trial, (began, evidence)) in &running {
            listeners.tell(What::TrialEnds {
                trial: trial.clone(),
                verdict: Verdict::NoVerdict,
                took: now() - began,
                step: None,
                why: Some(by.clone()),
                evidence: Some(evidence.clone()),
                machine: None,
            });
        }
        let begin = self.state().begin;
        let took = begin.map_or(0.0, |begin| now() - begin);
        listeners.tell(What::RunEnds { took });
        if *print {
            return format!("{by}\n");
        }
        let mut text = format!("\n{by}\n");
        for (trial, why) in &self.state().failed {
            let _ = write!(text, "\n---- {trial} ----\n{}\n", why.trim_end());
        }
        text
    }
}

impl Listener for Progress {
    fn hear(&self, event: &Event) {
        let mut state = self.state();
        match &event.what {
            What::RunBegins { .. } => state.begin = Some(event.at),
            What::TrialBegins {
                trial, evidence, ..
            } => {
                let begun = (event.at, evidence.clone());
                state.running.insert(trial.clone(), begun);
            }
            What::TrialEnds {
                trial,
                verdict,
                why,
                ..
            } => {
                state.running.remove(trial);
                if !matches!(verdict, Verdict::Passed | Verdict::KnownFailure) {
                    let why = why.clone().unwrap_or_default();
                    state.failed.push((trial.clone(), why));
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
    struct Heard(Arc<Mutex<Vec<What>>>);

    impl Listener for Heard {
        fn hear(&self, event: &Event) {
            self.0.lock().unwrap().push(event.what.clone());
        }
    }

    fn begins(trial: &str) -> What {
        What::TrialBegins {
            trial: trial.into(),
            about: String::new(),
            file: PathBuf::new(),
            steps: Vec::new(),
            evidence: "/evidence".into(),
        }
    }

    fn ends(trial: &str, verdict: Verdict, why: &str) -> What {
        What::TrialEnds {
            trial: trial.into(),
            verdict,
            took: 1.0,
            step: None,
            why: Some(why.into()),
            evidence: None,
            machine: None,
        }
    }

    #[test]
    fn an_interrupted_run_tells_why_trials_failed_and_which_ones_still_ran() {
        for print in [false, true] {
            let (progress, heard) = (Progress::default(), Heard::default());
            let listeners = Listeners::default()
                .with(progress.clone())
                .with(heard.clone());
            progress.tells(listeners.clone(), print);
            listeners.tell(What::RunBegins {
                trials: vec![],
                ignored: vec![],
            });
            for trial in ["q35::tea", "q35::milk", "q35::sugar"] {
                listeners.tell(begins(trial));
            }
            listeners.tell(ends("q35::milk", Verdict::Red, "q35::milk: sour\n"));
            listeners.tell(ends("q35::tea", Verdict::Passed, ""));
            heard.0.lock().unwrap().clear();

            let text = progress.interrupted(Signal::SIGINT);
            let reasons = text.contains("---- q35::milk ----\nq35::milk: sour\n");
            assert_eq!(reasons, !print, "{text}");
            assert!(text.contains("interrupted by SIGINT"), "{text}");
            let heard = heard.0.lock().unwrap();
            let [
                What::TrialEnds {
                    trial,
                    verdict,
                    why,
                    ..
                },
                What::RunEnds { .. },
            ] = &heard[..]
            else {
                panic!("{heard:?}");
            };
            assert_eq!(
                (trial.as_str(), *verdict),
                ("q35::sugar", Verdict::NoVerdict)
            );
            assert_eq!(why.as_deref(), Some("interrupted by SIGINT"));
        }
    }

    #[test]
    fn an_interrupt_before_the_run_begins_has_nothing_to_tell() {
        let text = Progress::default().interrupted(Signal::SIGTERM);
        assert_eq!(text, "\ninterrupted by SIGTERM\n");
    }
}

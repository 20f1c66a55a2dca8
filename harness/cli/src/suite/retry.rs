//! Judges the attempts of a trial, and decides whether it is retried.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use events::{Event, EventKind, Listener, Listeners, Verdict};
use scenario::{Day, KnownFailure, Scenario};

/// The rules that judge the attempts of a trial.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The maximum number of retries.
    pub(super) retries: u32,
    /// The known failure of the scenario.
    pub(super) known: Option<KnownFailure>,
    /// The path of the scenario, for messages.
    pub(super) file: String,
    pub(super) today: Day,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    pub(super) verdict: Verdict,
    pub(super) why: String,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conclusion {
    pub(super) verdict: Verdict,
    pub(super) why: Option<String>,
}

impl Rules {
    pub(super) fn of(scenario: &Scenario, retries: u32) -> Self {
        Self {
            retries,
            known: scenario.known_failure.clone(),
            file: scenario.file.display().to_string(),
            today: Day::today(),
        }
    }

    /// The conclusion of the attempts; `None` if the trial is retried. A known failure is not retried, but an
    /// error is, because it may not recur.
    fn conclude(&self, attempts: &[Attempt]) -> Option<Conclusion> {
        let last = attempts.last()?;
        let left = attempts.len() <= self.retries as usize;
        let (verdict, why) = match (last.verdict, &self.known) {
            (Verdict::Failed, Some(known)) => self.failed_as_known(known, &last.why),
            (Verdict::Passed, Some(known)) => (Verdict::Failed, Some(self.passes(known))),
            (Verdict::Passed, None) => passed(attempts),
            _ if left => return None,
            (verdict, _) => (verdict, Some(last.why.clone())),
        };
        Some(Conclusion { verdict, why })
    }

    fn failed_as_known(&self, known: &KnownFailure, why: &str) -> (Verdict, Option<String>) {
        let KnownFailure {
            reason,
            ticket,
            until,
        } = known;
        if known.holds_on(self.today) {
            let why = format!("known failure until {until}, {ticket}: {reason}");
            return (Verdict::KnownFailure, Some(why));
        }
        let file = &self.file;
        let why = format!(
            "{why}\n\nits known failure ({ticket}: {reason}) was accepted until {until}; \
             hint: fix it, or extend `until` in {file}"
        );
        (Verdict::Failed, Some(why))
    }

    fn passes(&self, known: &KnownFailure) -> String {
        let (file, ticket) = (&self.file, &known.ticket);
        format!(
            "the trial passed, but it is known to fail ({ticket}); hint: remove `known_failure` from {file}"
        )
    }
}

/// A pass after a failed attempt is flaky.
fn passed(attempts: &[Attempt]) -> (Verdict, Option<String>) {
    match attempts {
        [first, .., _] => {
            let (number, why) = (attempts.len(), &first.why);
            let why =
                format!("flaky: it passed at attempt {number}\nthe first attempt failed:\n{why}");
            (Verdict::Flaky, Some(why))
        }
        _ => (Verdict::Passed, None),
    }
}

/// A listener that forwards the events of attempts: the last attempt ends the trial, and the ends of earlier
/// attempts become `AttemptEnds`.
#[derive(Clone)]
pub(super) struct Attempts(Arc<Inner>);

struct Inner {
    rules: Rules,
    listeners: Listeners,
    state: Mutex<(Vec<Attempt>, Option<Conclusion>)>,
}

impl Attempts {
    pub(super) fn new(rules: Rules, listeners: Listeners) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Inner {
            rules,
            listeners,
            state,
        }))
    }

    /// The conclusion, if there are no more attempts.
    pub(super) fn concluded(&self) -> Option<Conclusion> {
        self.state().1.clone()
    }

    /// The number of finished attempts.
    pub(super) fn count(&self) -> usize {
        self.state().0.len()
    }

    fn state(&self) -> MutexGuard<'_, (Vec<Attempt>, Option<Conclusion>)> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a finished attempt, and returns the event to forward.
    fn judge(&self, ended: EventKind) -> EventKind {
        let EventKind::TrialEnds {
            trial,
            verdict,
            duration,
            step,
            reason,
            evidence,
            machine,
            failed_on,
        } = ended
        else {
            return ended;
        };
        let mut state = self.state();
        let why = reason.clone().unwrap_or_default();
        state.0.push(Attempt { verdict, why });
        state.1 = self.0.rules.conclude(&state.0);
        match state.1.clone() {
            Some(Conclusion { verdict, why }) => EventKind::TrialEnds {
                trial,
                verdict,
                duration,
                step,
                reason: why,
                evidence,
                machine,
                failed_on,
            },
            None => EventKind::AttemptEnds {
                trial,
                attempt: u32::try_from(state.0.len()).unwrap_or(u32::MAX),
                verdict,
                duration,
                reason,
                evidence,
                machine,
                failed_on,
            },
        }
    }
}

impl Listener for Attempts {
    fn on_event(&self, event: &Event) {
        let kind = self.judge(event.kind.clone());
        self.0.listeners.emit(kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(retries: u32, known: bool, today: &str) -> Rules {
        let known = known.then_some("{reason: no water, ticket: KETTLE-7, until: 2027-01-31}");
        let today = serde_yaml::from_str(today).unwrap();
        Rules {
            retries,
            known: known.map(|text| serde_yaml::from_str(text).unwrap()),
            file: "scenarios/tea.yaml".into(),
            today,
        }
    }

    /// The verdict and the reason after these attempts; `None` if the trial is retried.
    fn of(rules: &Rules, verdicts: &[Verdict]) -> Option<(Verdict, String)> {
        let attempt = |(n, verdict): (usize, &Verdict)| Attempt {
            verdict: *verdict,
            why: format!("reason {n}"),
        };
        let attempts: Vec<_> = verdicts.iter().enumerate().map(attempt).collect();
        let Conclusion { verdict, why } = rules.conclude(&attempts)?;
        Some((verdict, why.unwrap_or_default()))
    }

    const DAY: &str = "2027-01-31";
    const NEXT_DAY: &str = "2027-02-01";
    use Verdict::{Error, Failed, Flaky, Passed};

    #[test]
    fn conclude_accepts_the_first_attempt_without_retries() {
        let rules = rules(0, false, DAY);
        assert_eq!(of(&rules, &[Passed]), Some((Passed, String::new())));
        assert_eq!(of(&rules, &[Failed]), Some((Failed, "reason 0".into())));
        assert_eq!(of(&rules, &[Error]), Some((Error, "reason 0".into())));
    }

    #[test]
    fn pass_after_a_failure_is_flaky() {
        let rules = rules(2, false, DAY);
        assert_eq!(of(&rules, &[Passed]), Some((Passed, String::new())));
        assert_eq!(of(&rules, &[Failed]), None);
        assert_eq!(of(&rules, &[Failed, Error]), None);
        for failed in [Failed, Error] {
            let (verdict, why) = of(&rules, &[failed, Passed]).unwrap();
            assert_eq!(verdict, Flaky);
            assert!(
                why.contains("attempt 2") && why.contains("reason 0"),
                "{why}"
            );
        }
        assert_eq!(
            of(&rules, &[Error, Failed, Failed]),
            Some((Failed, "reason 2".into()))
        );
    }

    #[test]
    fn known_failure_is_accepted_until_the_end_of_its_last_day() {
        let on = |day| of(&rules(2, true, day), &[Failed]).unwrap();
        let (verdict, why) = on(DAY);
        assert_eq!(verdict, Verdict::KnownFailure);
        assert_eq!(why, "known failure until 2027-01-31, KETTLE-7: no water");
        let (verdict, why) = on(NEXT_DAY);
        assert_eq!(verdict, Failed);
        assert!(why.starts_with("reason 0") && why.contains("accepted until 2027-01-31"));
    }

    #[test]
    fn known_failure_that_passes_fails() {
        for day in [DAY, NEXT_DAY] {
            for attempts in [&[Passed][..], &[Error, Passed]] {
                let (verdict, why) = of(&rules(1, true, day), attempts).unwrap();
                assert_eq!(verdict, Failed);
                assert!(why.contains("remove `known_failure` from scenarios/tea.yaml"));
            }
        }
        assert_eq!(of(&rules(1, true, DAY), &[Error]), None);
        let (verdict, _) = of(&rules(0, true, DAY), &[Error]).unwrap();
        assert_eq!(verdict, Error);
    }

    #[derive(Clone, Default)]
    struct Recorded(Arc<Mutex<Vec<EventKind>>>);
    impl Listener for Recorded {
        fn on_event(&self, event: &Event) {
            self.0.lock().unwrap().push(event.kind.clone());
        }
    }

    #[test]
    fn listeners_receive_one_end_of_the_trial() {
        let recorded = Recorded::default();
        let listeners = Listeners::default().with(recorded.clone());
        let attempts = Attempts::new(rules(1, false, DAY), listeners);
        let inner = Listeners::default().with(attempts.clone());
        for (verdict, why) in [(Failed, Some("cold")), (Passed, None)] {
            assert_eq!(attempts.concluded(), None);
            inner.emit(EventKind::TrialEnds {
                trial: "q35::tea".into(),
                verdict,
                duration: 1.0,
                step: None,
                reason: why.map(str::to_owned),
                evidence: None,
                machine: None,
                failed_on: None,
            });
        }
        assert_eq!(attempts.concluded().unwrap().verdict, Flaky);
        let recorded = recorded.0.lock().unwrap();
        let [
            EventKind::AttemptEnds {
                attempt: 1,
                verdict: Failed,
                ..
            },
            EventKind::TrialEnds {
                verdict: Flaky,
                reason: why,
                ..
            },
        ] = &recorded[..]
        else {
            panic!("{recorded:?}");
        };
        assert!(why.as_ref().unwrap().contains("cold"));
    }
}

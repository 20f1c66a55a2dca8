//! Texts for the end of a trial and of a run.

use std::fmt::Write as _;

use events::Verdict;

/// Formats texts, with ANSI colours or without.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    pub(super) fn new(colour: bool) -> Self {
        Self(colour)
    }

    fn word(self, word: &str, colour: u8) -> String {
        if self.0 {
            format!("\x1b[{colour}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }

    fn verdict(self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Passed => self.word("passed", 32),
            Verdict::Failed => self.word("FAILED", 31),
            Verdict::Error => self.word("ERROR", 31),
            Verdict::Flaky => self.word("FLAKY", 33),
            Verdict::KnownFailure => self.word("known failure", 33),
        }
    }

    /// The end of a trial, with the full reason if it did not pass.
    pub(super) fn end(
        self,
        trial: &str,
        verdict: Verdict,
        duration: f64,
        reason: Option<&str>,
    ) -> String {
        let mut text = format!("{} {trial} ({duration:.1} s)", self.verdict(verdict));
        for line in reason.unwrap_or_default().lines() {
            let _ = write!(text, "\n  {line}");
        }
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The end of an attempt that another one follows.
    pub(super) fn again(self, trial: &str, attempt: u32) -> String {
        let again = self.word("again", 33);
        format!("{again} {trial}: attempt {attempt} did not pass")
    }
}

/// The results of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    ended: Vec<(String, Verdict, String)>,
    ignored: Vec<(String, String)>,
}

impl Summary {
    /// Sets the trials that are not run, with the reasons.
    pub(super) fn begins(&mut self, ignored: &[(String, String)]) {
        self.ignored = ignored.to_vec();
    }

    pub(super) fn ended(&mut self, trial: &str, verdict: Verdict, reason: Option<&str>) {
        let reason = reason
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        self.ended
            .push((trial.to_owned(), verdict, reason.to_owned()));
    }

    /// A line for each trial that did not pass, then the counts.
    pub(super) fn text(&self, paint: &Paint, duration: f64) -> String {
        let mut text = String::new();
        for (trial, reason) in &self.ignored {
            let _ = writeln!(text, "ignored {trial}: {reason}");
        }
        for (trial, verdict, reason) in &self.ended {
            if *verdict != Verdict::Passed {
                let _ = writeln!(text, "{} {trial}: {reason}", paint.verdict(*verdict));
            }
        }
        let count_of = |wanted| self.ended.iter().filter(|one| one.1 == wanted).count();
        let mut counts = vec![format!("{} passed", count_of(Verdict::Passed))];
        for (count, label) in [
            (count_of(Verdict::Failed), "failed"),
            (count_of(Verdict::Error), "errors"),
            (count_of(Verdict::Flaky), "flaky"),
            (count_of(Verdict::KnownFailure), "known to fail"),
            (self.ignored.len(), "ignored"),
        ] {
            if count > 0 {
                counts.push(format!("{count} {label}"));
            }
        }
        let counts = counts.join(", ");
        let _ = write!(text, "{counts} ({duration:.1} s)");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn summary_lists_the_trials_that_did_not_pass() {
        let mut summary = Summary::default();
        summary.begins(&[("arm::tea".into(), "no QEMU".into())]);
        for (trial, verdict, reason) in [
            ("q35::tea", Verdict::Passed, None),
            ("q35::milk", Verdict::Failed, Some("sour\nvery")),
            ("q35::sugar", Verdict::Flaky, Some("flaky: once")),
            ("q35::water", Verdict::KnownFailure, Some("known failure")),
        ] {
            summary.ended(trial, verdict, reason);
        }
        assert_snapshot!(summary.text(&Paint::new(false), 12.34), @"
        ignored arm::tea: no QEMU
        FAILED q35::milk: sour
        FLAKY q35::sugar: flaky: once
        known failure q35::water: known failure
        1 passed, 1 failed, 1 flaky, 1 known to fail, 1 ignored (12.3 s)
        ");
        let end = Paint::new(true).end("q35::milk", Verdict::Failed, 1.0, Some("sour\nvery"));
        assert_eq!(
            end,
            "\x1b[31mFAILED\x1b[0m q35::milk (1.0 s)\n  sour\n  very"
        );
    }
}

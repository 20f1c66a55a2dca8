//! The words of an end: of a trial, and of a run.

use std::fmt::Write as _;

use events::Verdict;

/// Words, in colour or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    pub(super) fn new(colour: bool) -> Self {
        Self(colour)
    }

    fn word(self, word: &str, colour: u8) -> String {
        match self.0 {
            true => format!("\x1b[{colour}m{word}\x1b[0m"),
            false => word.to_owned(),
        }
    }

    fn verdict(self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Passed => self.word("passed", 32),
            Verdict::Red => self.word("FAILED", 31),
            Verdict::NoVerdict => self.word("NO VERDICT", 31),
            Verdict::Flaky => self.word("FLAKY", 33),
            Verdict::KnownFailure => self.word("known failure", 33),
        }
    }

    /// A trial that ended, with all there is to say about why it did not pass.
    pub(super) fn end(self, trial: &str, verdict: Verdict, took: f64, why: Option<&str>) -> String {
        let mut text = format!("{} {trial} ({took:.1} s)", self.verdict(verdict));
        for line in why.unwrap_or_default().lines() {
            let _ = write!(text, "\n  {line}");
        }
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// An attempt that was not the last.
    pub(super) fn again(self, trial: &str, attempt: u32) -> String {
        let again = self.word("again", 33);
        format!("{again} {trial}: attempt {attempt} did not pass")
    }
}

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    ended: Vec<(String, Verdict, String)>,
    ignored: Vec<(String, String)>,
}

impl Summary {
    /// These are not run, with the reason.
    pub(super) fn begins(&mut self, ignored: &[(String, String)]) {
        self.ignored = ignored.to_vec();
    }

    pub(super) fn ended(&mut self, trial: &str, verdict: Verdict, why: Option<&str>) {
        let why = why.unwrap_or_default().lines().next().unwrap_or_default();
        let named = format!("{trial}: ");
        let why = why.strip_prefix(&named).unwrap_or(why);
        self.ended.push((trial.to_owned(), verdict, why.to_owned()));
    }

    /// A line for each trial that is not passed, then the numbers.
    pub(super) fn text(&self, paint: &Paint, took: f64) -> String {
        let mut text = String::new();
        for (trial, why) in &self.ignored {
            let _ = writeln!(text, "ignored {trial}: {why}");
        }
        for (trial, verdict, why) in &self.ended {
            if *verdict != Verdict::Passed {
                let _ = writeln!(text, "{} {trial}: {why}", paint.verdict(*verdict));
            }
        }
        let of = |wanted| self.ended.iter().filter(|one| one.1 == wanted).count();
        let mut numbers = vec![format!("{} passed", of(Verdict::Passed))];
        for (count, what) in [
            (of(Verdict::Red), "failed"),
            (of(Verdict::NoVerdict), "without verdict"),
            (of(Verdict::Flaky), "flaky"),
            (of(Verdict::KnownFailure), "known to fail"),
            (self.ignored.len(), "ignored"),
        ] {
            if count > 0 {
                numbers.push(format!("{count} {what}"));
            }
        }
        let numbers = numbers.join(", ");
        let _ = write!(text, "{numbers} ({took:.1} s)");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn all_that_did_not_pass_is_named() {
        let mut summary = Summary::default();
        summary.begins(&[("arm::tea".into(), "no QEMU".into())]);
        for (trial, verdict, why) in [
            ("q35::tea", Verdict::Passed, None),
            ("q35::milk", Verdict::Red, Some("q35::milk: sour\nvery")),
            ("q35::sugar", Verdict::Flaky, Some("flaky: once")),
            ("q35::water", Verdict::KnownFailure, Some("known failure")),
        ] {
            summary.ended(trial, verdict, why);
        }
        assert_snapshot!(summary.text(&Paint::new(false), 12.34), @"
        ignored arm::tea: no QEMU
        FAILED q35::milk: sour
        FLAKY q35::sugar: flaky: once
        known failure q35::water: known failure
        1 passed, 1 failed, 1 flaky, 1 known to fail, 1 ignored (12.3 s)
        ");
        let end = Paint::new(true).end("q35::milk", Verdict::Red, 1.0, Some("sour\nvery"));
        assert_eq!(
            end,
            "\x1b[31mFAILED\x1b[0m q35::milk (1.0 s)\n  sour\n  very"
        );
    }
}

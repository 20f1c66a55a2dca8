//! Reports of a run in which a hostile guest controls every text that comes from a guest: for tests and
//! fuzzing.

use std::path::Path;

use super::run_log::RunLog;
use super::{html, junit};
use base::text::printable;
use events::SnapshotOutcome;
use events::{BootStage, BootTimeline};
use events::{Event, EventKind, StepHead, Verdict};

/// All reports of a run.
#[derive(Debug)]
pub struct Reports {
    /// The page.
    pub page: String,
    /// `JUnit` XML.
    pub junit: String,
    /// The event stream.
    pub events: String,
    /// The guest's text as printed on a terminal.
    pub terminal: String,
}

/// Makes the reports of a run whose guest printed `output`.
///
/// # Errors
/// A report cannot be made.
pub fn of_guest(output: &[u8], folder: &Path) -> Result<Reports, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let text = String::from_utf8_lossy(output).into_owned();
    std::fs::write(folder.join("serial.log"), output).map_err(|e| failed(&e))?;
    let mut run_log = RunLog::default();
    let mut events = String::new();
    for kind in run(&text, folder) {
        let event = Event {
            timestamp: 1.0,
            kind,
        }
        .printable();
        events += &serde_json::to_string(&event).map_err(|e| failed(&e))?;
        events.push('\n');
        run_log.add(&event);
    }
    Ok(Reports {
        page: html(&run_log, &[]),
        junit: junit::xml(&run_log).map_err(|e| failed(&e))?,
        events,
        terminal: printable(&text),
    })
}

fn run(text: &str, evidence: &Path) -> Vec<EventKind> {
    let (trial, text) = ("q35::tea".to_owned(), text.to_owned());
    let stage = BootStage {
        stage: text.clone(),
        seconds: 1.0,
        budget: None,
        error: Some(text.clone()),
    };
    let timeline = BootTimeline {
        profile: "q35".into(),
        accelerator: "tcg".into(),
        build: String::new(),
        scale: 1.0,
        evidence: evidence.into(),
        ready: false,
        stages: vec![stage],
    };
    let (step, line, duration) = (1, 4, 1.0);
    let head = StepHead {
        line,
        title: text.clone(),
        on: vec![text.clone()],
    };
    vec![
        EventKind::TrialBegins {
            trial: trial.clone(),
            about: text.clone(),
            file: "scenarios/tea.yaml".into(),
            steps: vec![head],
            machines: vec![text.clone()],
            evidence: evidence.into(),
        },
        EventKind::Boot {
            trial: trial.clone(),
            on: Some(text.clone()),
            timeline,
        },
        EventKind::StepBegins {
            trial: trial.clone(),
            step,
            line,
            title: text.clone(),
            on: vec![text.clone()],
        },
        EventKind::StepEnds {
            trial: trial.clone(),
            step,
            title: text.clone(),
            duration,
            failure: Some(text.clone()),
            failed_on: Some(text.clone()),
        },
        EventKind::Note {
            trial: Some(trial.clone()),
            text: text.clone(),
        },
        EventKind::TrialEnds {
            trial,
            verdict: Verdict::Failed,
            duration,
            step: Some(step),
            reason: Some(text.clone()),
            evidence: Some(evidence.into()),
            failed_on: Some(text.clone()),
            machine: Some(SnapshotOutcome::NotKept { reason: text }),
        },
    ]
}

impl Reports {
    /// Checks that no report contains a character that acts on a terminal, a page or an XML parser.
    ///
    /// # Errors
    /// The first such character, and its report.
    pub fn check(&self) -> Result<(), String> {
        let all = [
            ("page", &self.page),
            ("JUnit XML", &self.junit),
            ("event stream", &self.events),
            ("terminal", &self.terminal),
        ];
        for (name, text) in all {
            let shown = |letter: &char| matches!(letter, '\n' | '\t') || is_plain(*letter);
            if let Some(letter) = text.chars().find(|letter| !shown(letter)) {
                return Err(format!("{name}: U+{:04X}", letter as u32));
            }
        }
        Ok(())
    }
}

/// Independent of the rule of [`printable`], which it verifies.
fn is_plain(letter: char) -> bool {
    let number = letter as u32;
    let control = number < 0x20 || (0x7f..0xa0).contains(&number);
    let bidi = matches!(
        number,
        0x61c | 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069
    );
    let none = number % 0x1_0000 >= 0xfffe;
    !(control || bidi || none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &[u8]) {
        let folder = tempfile::tempdir().unwrap();
        let reports = of_guest(output, folder.path()).unwrap();
        reports
            .check()
            .unwrap_or_else(|reason| panic!("{reason}: {output:?}"));
        let parsed = roxmltree::Document::parse(&reports.junit);
        parsed.unwrap_or_else(|reason| panic!("{reason}: {output:?}"));
    }

    #[test]
    fn reports_are_clean_when_a_guest_prints_control_characters() {
        for output in [
            "\u{1b}]52;c;cm0gLXJmIH4=\u{7}",
            "\0\u{1}\u{8}\u{b}\u{1f}\u{7f}\u{80}\u{9b}31m",
            "\u{fffe}\u{ffff}\u{10ffff}\u{fdd0}",
            "\u{202e}\u{2066}\u{200f}\u{61c}",
            "]]><!--<script>&amp;&#0;",
            "",
            "\r\n\r\n",
        ] {
            check(output.as_bytes());
        }
        check(b"\xff\xfe\xed\xa0\x80");
    }

    #[test]
    fn reports_are_clean_when_a_guest_prints_random_text() {
        let mut draw = fastrand::Rng::with_seed(17);
        for _ in 0..300 {
            let letter = |draw: &mut fastrand::Rng| match draw.u8(0..4) {
                0 => draw.char('\0'..='\u{ff}'),
                1 => draw.char('\u{2000}'..='\u{2fff}'),
                2 => draw.char('\u{ff00}'..='\u{ffff}'),
                _ => draw
                    .choice(['<', '>', '&', '"', '[', ']', '\u{1b}', '-', '!', ';', ' '])
                    .unwrap_or('x'),
            };
            let text: String = (0..draw.usize(0..64)).map(|_| letter(&mut draw)).collect();
            let mut output = text.into_bytes();
            if draw.bool() {
                output.push(draw.u8(..));
            }
            check(&output);
        }
    }
}

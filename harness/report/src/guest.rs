//! Reports of a run in which a guest said something of its own choice wherever it can say anything: for
//! tests and for fuzzing.

use std::path::Path;

use super::journal::Journal;
use super::{html, junit};
use base::text::printable;
use events::Fate;
use events::{Event, StepHead, Verdict, What};
use events::{Ladder, Rung};

/// What reports make of a run.
#[derive(Debug)]
pub struct Reports {
    /// The page.
    pub page: String,
    /// `JUnit` XML.
    pub junit: String,
    /// The stream of events.
    pub events: String,
    /// What is printed of the words on a terminal.
    pub terminal: String,
}

/// The reports of a run in which a guest said this.
///
/// # Errors
/// One of them cannot be made.
pub fn of_guest(said: &[u8], folder: &Path) -> Result<Reports, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let text = String::from_utf8_lossy(said).into_owned();
    std::fs::write(folder.join("serial.log"), said).map_err(|e| failed(&e))?;
    let mut journal = Journal::default();
    let mut events = String::new();
    for what in run(&text, folder) {
        let event = Event { at: 1.0, what }.printable();
        events += &serde_json::to_string(&event).map_err(|e| failed(&e))?;
        events.push('\n');
        journal.add(&event);
    }
    Ok(Reports {
        page: html(&journal, &[]),
        junit: junit::xml(&journal).map_err(|e| failed(&e))?,
        events,
        terminal: printable(&text),
    })
}

fn run(text: &str, evidence: &Path) -> Vec<What> {
    let (trial, text) = ("q35::tea".to_owned(), text.to_owned());
    let rung = Rung {
        stage: text.clone(),
        seconds: 1.0,
        budget: None,
        error: Some(text.clone()),
    };
    let ladder = Ladder {
        profile: "q35".into(),
        accelerator: "tcg".into(),
        build: String::new(),
        scale: 1.0,
        evidence: evidence.into(),
        ready: false,
        rungs: vec![rung],
    };
    let (step, line, took) = (1, 4, 1.0);
    let head = StepHead {
        line,
        what: text.clone(),
    };
    vec![
        What::TrialBegins {
            trial: trial.clone(),
            about: text.clone(),
            file: "scenarios/tea.yaml".into(),
            steps: vec![head],
            evidence: evidence.into(),
        },
        What::Boot {
            trial: trial.clone(),
            ladder,
        },
        What::StepBegins {
            trial: trial.clone(),
            step,
            line,
            what: text.clone(),
        },
        What::StepEnds {
            trial: trial.clone(),
            step,
            what: text.clone(),
            took,
            fault: Some(text.clone()),
        },
        What::Note {
            trial: Some(trial.clone()),
            text: text.clone(),
        },
        What::TrialEnds {
            trial,
            verdict: Verdict::Red,
            took,
            step: Some(step),
            why: Some(text.clone()),
            evidence: Some(evidence.into()),
            machine: Some(Fate::No { why: text }),
        },
    ]
}

impl Reports {
    /// Looks for letters that act on a terminal, a page or an XML parser.
    ///
    /// # Errors
    /// Which, and where.
    pub fn check(&self) -> Result<(), String> {
        let all = [
            ("page", &self.page),
            ("JUnit XML", &self.junit),
            ("stream of events", &self.events),
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

/// Written down here once more, by another rule than that of [`printable`].
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

    fn check(said: &[u8]) {
        let folder = tempfile::tempdir().unwrap();
        let reports = of_guest(said, folder.path()).unwrap();
        reports
            .check()
            .unwrap_or_else(|why| panic!("{why}: {said:?}"));
        let parsed = roxmltree::Document::parse(&reports.junit);
        parsed.unwrap_or_else(|why| panic!("{why}: {said:?}"));
    }

    #[test]
    fn reports_are_sound_when_a_guest_says_what_acts_on_them() {
        for said in [
            "\u{1b}]52;c;cm0gLXJmIH4=\u{7}",
            "\0\u{1}\u{8}\u{b}\u{1f}\u{7f}\u{80}\u{9b}31m",
            "\u{fffe}\u{ffff}\u{10ffff}\u{fdd0}",
            "\u{202e}\u{2066}\u{200f}\u{61c}",
            "]]><!--<script>&amp;&#0;",
            "",
            "\r\n\r\n",
        ] {
            check(said.as_bytes());
        }
        check(b"\xff\xfe\xed\xa0\x80");
    }

    #[test]
    fn reports_are_sound_whatever_a_guest_says() {
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
            let mut said = text.into_bytes();
            if draw.bool() {
                said.push(draw.u8(..));
            }
            check(&said);
        }
    }
}

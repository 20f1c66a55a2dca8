//! The run log, which reports are made from: the events of a run, and excerpts of its evidence, made
//! while that existed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::excerpt::EvidenceExcerpt;
use super::run::machine_folder;
use events::{Event, EventKind, Verdict};

/// The log of a run, or of a part of it if the run did not end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunLog {
    /// In the order in which they occurred.
    pub events: Vec<Event>,
    /// By evidence folder.
    pub excerpts: BTreeMap<PathBuf, EvidenceExcerpt>,
}

/// A line of a run log file that several processes write.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    EvidenceExcerpt {
        evidence: PathBuf,
        excerpt: EvidenceExcerpt,
    },
    Event(Event),
}

/// An evidence folder to excerpt.
struct Folder {
    path: PathBuf,
    /// The machine whose folder it is, inside that of its trial.
    machine: Option<String>,
    /// Whether its trial passed.
    passed: bool,
}

impl Folder {
    /// A folder that is not inside another one.
    fn alone(path: &Path, passed: bool) -> Self {
        Self {
            path: path.to_owned(),
            machine: None,
            passed,
        }
    }

    /// A folder, and those of machines in it.
    fn all(evidence: &Path, machines: &[String], passed: bool) -> Vec<Self> {
        let of_machine = |name: &String| {
            Some(Self {
                path: machine_folder(evidence, name)?,
                machine: Some(name.clone()),
                passed,
            })
        };
        let machines = machines.iter().filter_map(of_machine);
        let own = Self::alone(evidence, passed);
        std::iter::once(own).chain(machines).collect()
    }

    /// Its excerpt, from its recorded place or beside the file of the event stream.
    fn excerpt(&self, stream: &Path) -> Option<EvidenceExcerpt> {
        EvidenceExcerpt::from(&self.path, self.passed)
            .or_else(|| EvidenceExcerpt::from(&self.beside(stream)?, self.passed))
    }

    /// Its place beside the file of the event stream.
    fn beside(&self, stream: &Path) -> Option<PathBuf> {
        let Some(machine) = &self.machine else {
            return Some(stream.with_file_name(self.path.file_name()?));
        };
        let trial = self.path.parent()?.file_name()?;
        machine_folder(&stream.with_file_name(trial), machine)
    }
}

impl RunLog {
    /// Adds an event, and excerpts of the evidence that it is about.
    pub fn add(&mut self, event: &Event) {
        for Folder { path, passed, .. } in self.folders_of(event) {
            if let Some(excerpt) = EvidenceExcerpt::from(&path, passed) {
                self.excerpts.insert(path, excerpt);
            }
        }
        self.events.push(event.clone());
    }

    /// The evidence folders to excerpt at an event.
    fn folders_of(&self, event: &Event) -> Vec<Folder> {
        match &event.kind {
            EventKind::TrialEnds { trial, verdict, .. }
            | EventKind::AttemptEnds { trial, verdict, .. } => {
                let passed = matches!(verdict, Verdict::Passed | Verdict::Flaky);
                let Some((evidence, machines)) = self.evidence_of(trial) else {
                    return Vec::new();
                };
                Folder::all(evidence, machines, passed)
            }
            // The trial's own folder is excerpted when the trial ends.
            EventKind::Boot {
                trial, timeline, ..
            } if self.evidence_of(trial).map(|(evidence, _)| evidence)
                != Some(&timeline.evidence) =>
            {
                vec![Folder::alone(&timeline.evidence, timeline.ready)]
            }
            EventKind::Setup {
                evidence,
                machines,
                ready,
                ..
            } => Folder::all(evidence, machines, *ready),
            _ => Vec::new(),
        }
    }

    /// The evidence folder of a running trial, and the names of its machines.
    fn evidence_of(&self, wanted: &str) -> Option<(&Path, &[String])> {
        self.events
            .iter()
            .rev()
            .find_map(|event| match &event.kind {
                EventKind::TrialBegins {
                    trial,
                    evidence,
                    machines,
                    ..
                } if trial == wanted => Some((evidence.as_path(), &machines[..])),
                _ => None,
            })
    }

    /// Reads an event stream, and excerpts of the evidence that still exists: at its recorded place, or in a
    /// folder of the same name beside the file.
    ///
    /// # Errors
    /// The file cannot be read, or has a line that is not an event; the text names the line.
    pub fn read(file: &Path) -> Result<Self, String> {
        let failed = |error| format!("cannot read {}: {error}", file.display());
        let text = std::fs::read_to_string(file).map_err(failed)?;
        let mut run_log = Self::default();
        for line in parse(&text).map_err(|error| format!("{}:{error}", file.display()))? {
            match line {
                Line::EvidenceExcerpt { evidence, excerpt } => {
                    run_log.excerpts.insert(evidence, excerpt.printable());
                }
                Line::Event(event) => run_log.add_past(event.printable(), file),
            }
        }
        Ok(run_log)
    }

    /// Adds an event of an earlier run.
    fn add_past(&mut self, event: Event, stream: &Path) {
        for folder in self.folders_of(&event) {
            if !self.excerpts.contains_key(&folder.path)
                && let Some(excerpt) = folder.excerpt(stream)
            {
                self.excerpts.insert(folder.path, excerpt);
            }
        }
        self.events.push(event);
    }

    /// Appends the last event and its excerpt to a file that several processes write.
    pub(super) fn append_last(&self, file: &Path) -> std::io::Result<()> {
        let Some(event) = self.events.last() else {
            return Ok(());
        };
        let mut text = String::new();
        let excerpt = |folder: Folder| {
            let excerpt = self.excerpts.get(&folder.path)?.clone();
            let evidence = folder.path;
            Some(Line::EvidenceExcerpt { evidence, excerpt })
        };
        let excerpts = self.folders_of(event).into_iter().filter_map(excerpt);
        for line in excerpts.chain([Line::Event(event.clone())]) {
            text += &serde_json::to_string(&line)?;
            text.push('\n');
        }
        append(file, &text)
    }
}

/// Appends whole lines in one write, so that those of several processes do not mix.
pub(super) fn append(file: &Path, lines: &str) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    let mut file = options.create(true).append(true).open(file)?;
    file.write_all(lines.as_bytes())
}

/// Parses the lines of a stream. Unknown events and an incomplete last line are skipped; any other line
/// that is not an event is an error with its line number.
fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_) if is_event(line) => {}
            Err(_) if is_version_1(line) => return Err(format!("{}: {VERSION_1}", number + 1)),
            Err(error) if error.is_eof() && !text.ends_with('\n') => {}
            Err(_) => return Err(format!("{}: not an event of a run", number + 1)),
        }
    }
    Ok(lines)
}

fn is_event(line: &str) -> bool {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    value["event"].is_string() && value["timestamp"].is_number()
}

const VERSION_1: &str = "event format version 1, expected version 2; hint: run the suite again";

/// Events of version 1 have their time in `at`.
fn is_version_1(line: &str) -> bool {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    value["event"].is_string() && value["at"].is_number()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Result<RunLog, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.jsonl");
        std::fs::write(&file, text).unwrap();
        let failed = |error: String| error.replace(&*folder.path().to_string_lossy(), "");
        RunLog::read(&file).map_err(failed)
    }

    #[test]
    fn stream_of_version_1_is_refused_with_its_line() {
        let old = NOTE.replace("timestamp", "at");
        let error = stream(&format!("{NOTE}\n{old}\n")).unwrap_err();
        assert_eq!(error, format!("/events.jsonl:2: {VERSION_1}"));
    }

    const NOTE: &str = r#"{"timestamp":1.5,"event":"note","trial":null,"text":"so"}"#;

    #[test]
    fn stream_is_read_up_to_an_incomplete_last_line() {
        let text = format!(
            "{NOTE}\n{{\"timestamp\":2.0,\"event\":\"of-a-later-version\"}}\n{NOTE}\n{{\"timestamp\":3"
        );
        assert_eq!(stream(&text).unwrap().events.len(), 2);
    }

    #[test]
    fn file_is_refused_when_a_line_is_not_an_event() {
        let error = stream(&format!("{NOTE}\nhello\n{NOTE}\n")).unwrap_err();
        assert_eq!(error, "/events.jsonl:2: not an event of a run");
    }

    #[test]
    fn excerpt_remains_when_the_evidence_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = folder.path().join("q35-tea-1");
        std::fs::create_dir(&evidence).unwrap();
        std::fs::write(evidence.join("serial.log"), "tea\n").unwrap();
        let mut run_log = RunLog::default();
        let file = folder.path().join("run_log.jsonl");
        for kind in trial(&evidence) {
            run_log.add(&Event {
                timestamp: 1.0,
                kind,
            });
            run_log.append_last(&file).unwrap();
        }
        std::fs::remove_dir_all(&evidence).unwrap();
        assert_eq!(run_log.excerpts[&evidence].serial[0].text, "tea");
        assert_eq!(RunLog::read(&file).unwrap(), run_log);
    }

    #[test]
    fn evidence_is_found_beside_the_stream() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("q35-tea-1");
        std::fs::create_dir_all(beside.join("cup")).unwrap();
        std::fs::write(beside.join("serial.log"), "tea\n").unwrap();
        std::fs::write(beside.join("cup/serial.log"), "milk\n").unwrap();
        let file = folder.path().join("events.jsonl");
        let elsewhere = PathBuf::from("/nowhere/q35-tea-1");
        for kind in trial(&elsewhere) {
            let line = serde_json::to_string(&Event {
                timestamp: 1.0,
                kind,
            })
            .unwrap();
            append(&file, &format!("{line}\n")).unwrap();
        }
        let run_log = RunLog::read(&file).unwrap();
        assert_eq!(run_log.excerpts[&elsewhere].serial[0].text, "tea");
        let of_machine = &run_log.excerpts[&elsewhere.join("cup")];
        assert_eq!(of_machine.serial[0].text, "milk");
        assert_eq!(
            run_log.excerpts.len(),
            2,
            "a name that is a path is no folder"
        );
    }

    fn trial(evidence: &Path) -> [EventKind; 2] {
        let trial = || "q35::tea".to_owned();
        let begins = EventKind::TrialBegins {
            trial: trial(),
            about: "tea".into(),
            file: "tea.yaml".into(),
            steps: vec![],
            machines: vec!["cup".into(), "../q35-tea-1".into()],
            evidence: evidence.into(),
        };
        let ends = EventKind::TrialEnds {
            trial: trial(),
            verdict: Verdict::Passed,
            duration: 1.0,
            step: None,
            reason: None,
            evidence: None,
            machine: None,
            failed_on: None,
        };
        [begins, ends]
    }
}

//! The history file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::key::{BOOT, FORK};
use base::clock::now;
use base::files;
use base::lock;
use base::stats::median;

/// How many passes of a trial are kept.
const PASSES: usize = 10;
/// How many trials are kept: those that ran last.
const TRIALS: usize = 2000;
/// A file of another version is ignored.
const VERSION: u32 = 1;

/// The durations of passes in seconds, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations(Vec<f64>);

impl Durations {
    fn add(&mut self, duration: f64) {
        self.0.push((duration * 1000.0).round() / 1000.0);
        let over = self.0.len().saturating_sub(PASSES);
        self.0.drain(..over);
    }

    /// The number of passes.
    pub fn passes(&self) -> usize {
        self.0.len()
    }

    /// The median in seconds.
    pub fn median(&self) -> Option<f64> {
        median(self.0.iter().copied())
    }

    /// The longest duration in seconds.
    pub fn longest(&self) -> Option<f64> {
        self.0.iter().copied().max_by(f64::total_cmp)
    }
}

/// The passes of a trial.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Passes {
    /// The time of the last pass, in seconds since the Unix epoch.
    last: f64,
    /// The durations of the whole trial.
    #[serde(rename = "took")]
    pub(super) duration: Durations,
    /// The durations of its steps by their [keys](super::key::key). The start of the machine has the key `boot`
    /// or `fork`.
    pub(super) steps: BTreeMap<String, Durations>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    trials: BTreeMap<String, Passes>,
    /// The trials that failed when they last ran.
    #[serde(default)]
    failed: BTreeSet<String>,
}

/// The history of trials, stored in one file.
#[derive(Debug, Clone)]
pub struct History {
    file: PathBuf,
}

impl History {
    /// The history in a file, which may not exist yet.
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// All passes by trial.
    pub(super) fn read(&self) -> BTreeMap<String, Passes> {
        self.content().trials
    }

    /// The median durations of trials in seconds, by name.
    pub fn medians(&self) -> BTreeMap<String, f64> {
        let trials = self.read().into_iter();
        trials
            .filter_map(|(name, passes)| Some((name, passes.duration.median()?)))
            .collect()
    }

    /// The names of the trials that failed when they last ran.
    pub fn failed(&self) -> BTreeSet<String> {
        self.content().failed
    }

    /// Records whether a trial failed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record_verdict(&self, trial: &str, failed: bool) -> io::Result<()> {
        if self.content().failed.contains(trial) == failed {
            return Ok(());
        }
        let _lock = self.lock()?;
        let mut content = self.content();
        if failed {
            content.failed.insert(trial.to_owned());
        } else {
            content.failed.remove(trial);
        }
        self.write(&content)
    }

    fn lock(&self) -> io::Result<Flock<File>> {
        std::fs::create_dir_all(files::directory(&self.file))?;
        lock::take(&self.file.with_extension("lock"), FlockArg::LockExclusive)
    }

    fn write(&self, content: &Content) -> io::Result<()> {
        let text = serde_json::to_string_pretty(content)?;
        files::replace(&self.file, files::PRIVATE, format!("{text}\n").as_bytes())
    }

    fn content(&self) -> Content {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let content: Content = serde_json::from_str(&text).unwrap_or_default();
        match content.version {
            VERSION => content,
            _ => Content {
                version: VERSION,
                ..Content::default()
            },
        }
    }

    /// Adds a pass. Removes steps that the trial no longer has.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, trial: &str, duration: f64, steps: &BTreeMap<String, f64>) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut content = self.content();
        let passes = content.trials.entry(trial.to_owned()).or_default();
        passes.last = now();
        passes.duration.add(duration);
        let is_start = |key: &String| [BOOT, FORK].contains(&key.as_str());
        passes
            .steps
            .retain(|key, _| is_start(key) || steps.contains_key(key));
        for (key, duration) in steps {
            passes.steps.entry(key.clone()).or_default().add(*duration);
        }
        evict(&mut content.trials);
        self.write(&content)
    }
}

/// Removes the trials that ran longest ago.
fn evict(trials: &mut BTreeMap<String, Passes>) {
    while trials.len() > TRIALS {
        let oldest = trials
            .iter()
            .min_by(|one, other| one.1.last.total_cmp(&other.1.last))
            .map(|(name, _)| name.clone());
        trials.remove(&oldest.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(of: &[(&str, f64)]) -> BTreeMap<String, f64> {
        of.iter()
            .map(|(key, duration)| ((*key).into(), *duration))
            .collect()
    }

    #[test]
    fn failed_trials_are_known_until_they_pass() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("deep/history.json"));
        assert!(history.failed().is_empty());
        for name in ["q35::tea", "q35::coffee", "q35::tea"] {
            history.record_verdict(name, true).unwrap();
        }
        history.record_verdict("q35::tea", false).unwrap();
        assert_eq!(history.failed(), ["q35::coffee".to_owned()].into());
    }

    #[test]
    fn add_keeps_the_last_passes_and_drops_removed_steps() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("deep/history.json"));
        for n in 0..15 {
            let of = steps(&[("fork", 1.0), ("old", 3.0), ("one", f64::from(n))]);
            history.add("q35::tea", f64::from(n), &of).unwrap();
        }
        history
            .add("q35::tea", 3.0, &steps(&[("boot", 30.0), ("one", 2.0)]))
            .unwrap();
        let tea = history.read().remove("q35::tea").unwrap();
        assert_eq!(tea.duration.passes(), PASSES);
        assert_eq!(tea.duration.longest(), Some(14.0));
        assert_eq!(tea.duration.median(), Some(9.5));
        assert_eq!(
            tea.steps.keys().collect::<Vec<_>>(),
            ["boot", "fork", "one"]
        );
        assert_eq!(history.medians()["q35::tea"], 9.5);
    }

    #[test]
    fn add_replaces_an_unreadable_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.json");
        let history = History::new(file.clone());
        for bad in [
            "{\"version\":1,\"trials\":{\"q35",
            "{\"version\":7,\"trials\":{}}",
        ] {
            std::fs::write(&file, bad).unwrap();
            assert!(history.medians().is_empty());
            history.add("q35::tea", 1.0, &steps(&[])).unwrap();
            assert_eq!(history.medians().len(), 1);
        }
    }

    #[test]
    fn evict_removes_the_oldest_trials() {
        let passes = |last| Passes {
            last,
            ..Passes::default()
        };
        let trial = |n: u32| (format!("{n}"), passes(f64::from(n)));
        let mut trials: BTreeMap<_, _> = (0..2003).map(trial).collect();
        evict(&mut trials);
        assert_eq!(trials.len(), TRIALS);
        assert!(!trials.contains_key("2") && trials.contains_key("3"));
    }
}

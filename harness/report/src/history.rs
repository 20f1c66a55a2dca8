//! The timelines of past boots, which a boot timeline is compared with.

use std::path::{Path, PathBuf};

use nix::fcntl::FlockArg;
use serde::{Deserialize, Serialize};

use super::run_log::append;
use base::files;
use base::stats::median;
use events::{Event, EventKind, Listener};

use base::lock;
use events::BootTimeline;

/// The number of boots to keep. The file is rewritten when it has `SLACK` more than that.
const KEPT: usize = 500;
const SLACK: usize = 100;
/// The number of last boots that the usual boot time is computed from.
pub const BASELINE_BOOTS: usize = 20;

/// The file of successful boots.
#[derive(Debug, Clone)]
pub struct History {
    file: PathBuf,
}

/// A past boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastBoot {
    /// The end of the boot, in seconds since 1970.
    pub timestamp: f64,
    /// Its timeline.
    #[serde(flatten)]
    pub timeline: BootTimeline,
}

impl History {
    /// The history in `boots.jsonl` of a folder; neither needs to exist.
    pub fn new(folder: &Path) -> Self {
        let file = folder.join("boots.jsonl");
        Self { file }
    }

    /// The boots, the oldest first. Lines that cannot be parsed are skipped.
    pub fn boots(&self) -> Vec<PastBoot> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let boots = text.lines().filter_map(|l| serde_json::from_str(l).ok());
        boots.collect()
    }

    /// Adds a boot; removes the oldest ones beyond the limit.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn add(&self, boot: &PastBoot) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // The lock is another file, because this one is sometimes replaced.
        let _lock = lock::take(&self.file.with_extension("lock"), FlockArg::LockExclusive)?;
        append(&self.file, &format!("{}\n", serde_json::to_string(boot)?))?;
        let text = std::fs::read_to_string(&self.file)?;
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() <= KEPT + SLACK {
            return Ok(());
        }
        let newest = lines[lines.len() - KEPT..].join("\n");
        files::replace(&self.file, files::PRIVATE, format!("{newest}\n").as_bytes())
    }
}

impl Listener for History {
    fn on_event(&self, event: &Event) {
        let EventKind::Boot { timeline, .. } = &event.kind else {
            return;
        };
        // The duration of a failed boot is not comparable.
        if !timeline.ready || timeline.stages.is_empty() {
            return;
        }
        let boot = PastBoot {
            timestamp: event.timestamp,
            timeline: timeline.clone(),
        };
        if let Err(error) = self.add(&boot) {
            log::warn!("{}: {error}", self.file.display());
        }
    }
}

/// The boots with the profile and accelerator of `one`.
pub fn comparable<'a>(boots: &'a [PastBoot], one: &BootTimeline) -> Vec<&'a PastBoot> {
    let is_comparable = |boot: &&PastBoot| {
        boot.timeline.profile == one.profile && boot.timeline.accelerator == one.accelerator
    };
    boots.iter().filter(is_comparable).collect()
}

/// The median time of a stage in the last boots, in seconds.
pub fn median_time(boots: &[&PastBoot], stage: &str) -> Option<f64> {
    let last = boots.iter().rev().take(BASELINE_BOOTS);
    median(last.filter_map(|boot| Some(boot.timeline.stage(stage)?.seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::BootStage;

    fn boot(profile: &str, seconds: f64) -> PastBoot {
        let stage = BootStage {
            stage: "started".into(),
            seconds,
            budget: None,
            error: None,
        };
        let timeline = BootTimeline {
            profile: profile.into(),
            accelerator: "tcg".into(),
            build: "b".into(),
            scale: 1.0,
            evidence: "e".into(),
            ready: true,
            stages: vec![stage],
        };
        PastBoot {
            timestamp: 1.0,
            timeline,
        }
    }

    #[test]
    fn history_keeps_the_last_boots() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(&folder.path().join("history"));
        let many = KEPT + SLACK;
        for n in 0..=many {
            history.add(&boot("q35", n as f64)).unwrap();
        }
        let boots = history.boots();
        assert_eq!(boots.len(), KEPT);
        assert_eq!(boots.last().unwrap(), &boot("q35", many as f64));
    }

    #[test]
    fn history_ignores_boots_that_did_not_become_ready() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        for ready in [true, false] {
            let mut timeline = boot("q35", 5.0).timeline;
            timeline.ready = ready;
            let trial = "q35::tea".into();
            let kind = EventKind::Boot {
                trial,
                on: None,
                timeline,
            };
            history.on_event(&Event {
                timestamp: 1.0,
                kind,
            });
        }
        assert_eq!(history.boots(), [boot("q35", 5.0)]);
    }

    #[test]
    fn boot_is_compared_with_boots_of_its_profile() {
        let boots = [1.0, 2.0, 9.0].map(|s| boot("q35", s));
        let others = [boot("pc", 100.0)];
        let all: Vec<_> = boots.into_iter().chain(others).collect();
        let comparable = comparable(&all, &all[0].timeline);
        assert_eq!(median_time(&comparable, "started"), Some(2.0));
        assert_eq!(median_time(&comparable, "console"), None);
    }
}

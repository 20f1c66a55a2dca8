//! How boots went before: what the ladder of a boot is compared with.

use std::path::{Path, PathBuf};

use nix::fcntl::FlockArg;
use serde::{Deserialize, Serialize};

use super::journal::append;
use base::files;
use base::stats::median;
use events::{Event, Listener, What};

use base::lock;
use events::Ladder;

/// So many boots are kept; this many more are let pass before the file is written anew.
const KEPT: usize = 500;
const SLACK: usize = 100;
/// So many boots make the usual one.
pub const USUAL: usize = 20;

/// The file of boots that went well.
#[derive(Debug, Clone)]
pub struct History {
    file: PathBuf,
}

/// A boot of the past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Booted {
    /// When it was over, in seconds since 1970.
    pub at: f64,
    /// How it went.
    #[serde(flatten)]
    pub ladder: Ladder,
}

impl History {
    /// Kept in `boots.jsonl` of a folder, which need not be there yet.
    pub fn new(folder: &Path) -> Self {
        let file = folder.join("boots.jsonl");
        Self { file }
    }

    /// The boots, the last one last. What cannot be read is left out.
    pub fn boots(&self) -> Vec<Booted> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let boots = text.lines().filter_map(|l| serde_json::from_str(l).ok());
        boots.collect()
    }

    /// Adds a boot; the oldest go.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn add(&self, boot: &Booted) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // Beside the file, for that is replaced now and then.
        let _ours = lock::take(&self.file.with_extension("lock"), FlockArg::LockExclusive)?;
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
    fn hear(&self, event: &Event) {
        let What::Boot { ladder, .. } = &event.what else {
            return;
        };
        // One that went wrong says nothing about how long a boot takes.
        if !ladder.ready || ladder.rungs.is_empty() {
            return;
        }
        let boot = Booted {
            at: event.at,
            ladder: ladder.clone(),
        };
        if let Err(error) = self.add(&boot) {
            log::warn!("{}: {error}", self.file.display());
        }
    }
}

/// Those like one: of its profile and accelerator.
pub fn alike<'a>(boots: &'a [Booted], one: &Ladder) -> Vec<&'a Booted> {
    let alike = |boot: &&Booted| {
        boot.ladder.profile == one.profile && boot.ladder.accelerator == one.accelerator
    };
    boots.iter().filter(alike).collect()
}

/// When the last boots usually reached a stage.
pub fn usual(boots: &[&Booted], stage: &str) -> Option<f64> {
    let last = boots.iter().rev().take(USUAL);
    median(last.filter_map(|boot| Some(boot.ladder.rung(stage)?.seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Rung;

    fn boot(profile: &str, seconds: f64) -> Booted {
        let rung = Rung {
            stage: "started".into(),
            seconds,
            budget: None,
            error: None,
        };
        let ladder = Ladder {
            profile: profile.into(),
            accelerator: "tcg".into(),
            build: "b".into(),
            scale: 1.0,
            evidence: "e".into(),
            ready: true,
            rungs: vec![rung],
        };
        Booted { at: 1.0, ladder }
    }

    #[test]
    fn the_last_boots_are_kept() {
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
    fn only_boots_that_went_well_are_history() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        for ready in [true, false] {
            let mut ladder = boot("q35", 5.0).ladder;
            ladder.ready = ready;
            let trial = "q35::tea".into();
            let what = What::Boot { trial, ladder };
            history.hear(&Event { at: 1.0, what });
        }
        assert_eq!(history.boots(), [boot("q35", 5.0)]);
    }

    #[test]
    fn a_boot_is_compared_with_those_like_it() {
        let boots = [1.0, 2.0, 9.0].map(|s| boot("q35", s));
        let others = [boot("pc", 100.0)];
        let all: Vec<_> = boots.into_iter().chain(others).collect();
        let alike = alike(&all, &all[0].ladder);
        assert_eq!(usual(&alike, "started"), Some(2.0));
        assert_eq!(usual(&alike, "console"), None);
    }
}

//! Saves the machine of a failed trial in its evidence.

use crate::evidence::{Evidence, KEY, MACHINE, Part, sweep, write_key};
use events::{EventKind, SnapshotOutcome};
use machine::{KeyPair, Machine};

use super::definition::Trial;
use super::log::Log;
use super::settings::Settings;

/// A machine to save.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    /// Its name, if it is one of several.
    pub(super) name: Option<&'a str>,
    pub(super) machine: &'a Machine,
    pub(super) keys: &'a KeyPair,
}

impl Trial {
    /// Saves a failure snapshot of each machine. This stops the machines.
    pub(super) async fn keep(
        &self,
        machines: &[Kept<'_>],
        settings: &Settings,
        log: &Log<'_>,
    ) -> SnapshotOutcome {
        if settings.machine_limit == 0 {
            return SnapshotOutcome::not_kept("the size limit is 0");
        }
        let with_key = self.scenario.machine.ssh_key;
        let kept = keep(machines, with_key, log.evidence, settings.machine_limit).await;
        let outcome = match kept {
            Ok(bytes) => SnapshotOutcome::Kept {
                bytes,
                folder: log.evidence.folder().to_path_buf(),
            },
            Err(reason) => SnapshotOutcome::NotKept { reason },
        };
        if let SnapshotOutcome::NotKept { reason } = &outcome {
            log.emit(EventKind::Note {
                trial: Some(log.trial.clone()),
                text: format!("no failure snapshot: {reason}"),
            });
        }
        sweep(&settings.evidence);
        outcome
    }
}

async fn keep(
    machines: &[Kept<'_>],
    with_key: bool,
    evidence: &Evidence,
    limit: u64,
) -> Result<u64, String> {
    let part = Part::begin(evidence).map_err(|error| error.to_string())?;
    let mut written = 0;
    for one in machines {
        let folder = match one.name {
            Some(name) => part.folder().join(name),
            None => part.folder().to_owned(),
        };
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let bytes = one.machine.keep(&folder, limit - written).await;
        written += bytes.map_err(|error| error.to_string())?;
        if with_key {
            let key = write_key(&folder.join(KEY), &one.keys.private);
            key.map_err(|error| error.to_string())?;
        }
    }
    let finished = part.finish(&evidence.file(MACHINE));
    finished.map_err(|error| error.to_string())?;
    Ok(written)
}

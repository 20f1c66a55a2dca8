//! Saves the machine of a failed trial in its evidence.

use crate::evidence::{Evidence, KEY, MACHINE, Part, sweep, write_key};
use events::{EventKind, SnapshotOutcome};
use machine::{KeyPair, Machine};

use super::definition::Trial;
use super::log::Log;
use super::settings::Settings;

impl Trial {
    /// Saves a failure snapshot of the machine. This stops the machine.
    pub(super) async fn keep(
        &self,
        machine: &Machine,
        keys: &KeyPair,
        settings: &Settings,
        log: &Log<'_>,
    ) -> SnapshotOutcome {
        if settings.machine_limit == 0 {
            return SnapshotOutcome::not_kept("the size limit is 0");
        }
        let keys = self.scenario.machine.ssh_key.then_some(keys);
        let kept = keep(machine, keys, log.evidence, settings.machine_limit).await;
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
    machine: &Machine,
    keys: Option<&KeyPair>,
    evidence: &Evidence,
    limit: u64,
) -> Result<u64, String> {
    let part = Part::begin(evidence).map_err(|error| error.to_string())?;
    let bytes = machine.keep(part.folder(), limit).await;
    let bytes = bytes.map_err(|error| error.to_string())?;
    let finish = || {
        if let Some(keys) = keys {
            write_key(&part.folder().join(KEY), &keys.private)?;
        }
        part.finish(&evidence.file(MACHINE))
    };
    finish().map_err(|error| error.to_string())?;
    Ok(bytes)
}

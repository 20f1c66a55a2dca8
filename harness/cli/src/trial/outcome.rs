//! What is kept of a machine beside its steps: how it booted, and a picture of the moment of failure.

use std::time::Duration;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use base::hash::Hash;
use events::Ladder;
use events::What;
use host::speed::Scale;
use machine::Machine;
use machine::profile::Accelerator;

use super::begin::content;
use super::{Log, Trial, scaled, timeline};

/// For QEMU to draw the screen; a QEMU that is gone says so at once.
const PICTURE: Duration = Duration::from_secs(5);

impl Trial {
    /// Tells how a boot went, and warns of what took too long.
    pub(super) fn tell_boot(
        &self,
        artifacts: &Artifacts,
        machine: &Machine,
        ready: bool,
        log: &Log<'_>,
    ) {
        let scale = Scale::of_host();
        let ladder = Ladder {
            profile: self.profile.name.clone(),
            accelerator: self.accelerator(artifacts).into(),
            build: build(artifacts),
            scale: scale.factor(),
            evidence: log.evidence.folder().to_path_buf(),
            ready,
            rungs: timeline::rungs(&machine.boot_events(), &self.profile.budgets, scale),
        };
        let (trial, warning) = (log.trial.clone(), ladder.warning());
        log.tell(What::Boot { trial, ladder });
        if let Some(text) = warning {
            let trial = Some(log.trial.clone());
            log.tell(What::Note { trial, text });
        }
    }

    fn accelerator(&self, artifacts: &Artifacts) -> &'static str {
        match self.profile.resolve(&artifacts.kernel) {
            Ok(resolved) if resolved.accelerator == Accelerator::Kvm => "kvm",
            _ => "tcg",
        }
    }
}

/// What boots, as a name; empty where it cannot be read any more.
fn build(artifacts: &Artifacts) -> String {
    let both = [&artifacts.kernel, &artifacts.initrd].map(|file| content(file).unwrap_or_default());
    Hash::default().text(&both.join(" ")).finish()
}

/// Keeps a picture of the screen, as well as it can be had: a verdict never waits long for one.
pub(super) async fn screen(machine: &Machine, evidence: &Evidence) {
    let file = evidence.file("screen.png");
    let picture = machine.screenshot(&file);
    let taken = tokio::time::timeout(scaled(PICTURE), picture).await;
    if !matches!(taken, Ok(Ok(()))) {
        // Perhaps half a picture.
        let _ = std::fs::remove_file(&file);
    }
}

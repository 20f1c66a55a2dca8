//! Reports the boot timeline of a machine, and saves a screenshot when a trial fails.

use std::time::Duration;

use crate::artifacts::Artifacts;
use crate::content;
use crate::evidence::Evidence;
use crate::session::scaled;
use base::hash::Hash;
use events::BootTimeline;
use events::EventKind;
use host::speed::HostSpeed;
use machine::Machine;
use machine::profile::Accelerator;

use super::definition::Trial;
use super::log::Log;
use super::timeline;

/// The timeout of a screenshot. If QEMU has exited, the request fails immediately.
const SCREENSHOT: Duration = Duration::from_secs(5);

impl Trial {
    /// Emits the boot timeline, and a warning if a stage exceeded its budget. `on` is the machine's name, if it
    /// is one of several.
    pub(super) fn emit_timeline(
        &self,
        artifacts: &Artifacts,
        machine: &Machine,
        on: Option<&str>,
        ready: bool,
        log: &Log<'_>,
    ) {
        let speed = HostSpeed::of_host();
        let timeline = BootTimeline {
            profile: self.profile.name.clone(),
            accelerator: self.accelerator(artifacts).into(),
            build: build(artifacts),
            scale: speed.factor(),
            evidence: log.evidence.folder().to_path_buf(),
            ready,
            stages: timeline::stages(&machine.boot_events(), &self.profile.budgets, speed),
        };
        let (trial, warning) = (log.trial.clone(), timeline.warning());
        log.emit(EventKind::Boot {
            trial,
            on: on.map(str::to_owned),
            timeline,
        });
        if let Some(text) = warning {
            let trial = Some(log.trial.clone());
            log.emit(EventKind::Note { trial, text });
        }
    }

    fn accelerator(&self, artifacts: &Artifacts) -> &'static str {
        match self.profile.resolve(&artifacts.kernel) {
            Ok(resolved) if resolved.accelerator == Accelerator::Kvm => "kvm",
            _ => "tcg",
        }
    }
}

/// The hash of the artifacts; they count as empty if they cannot be read any more.
fn build(artifacts: &Artifacts) -> String {
    let both =
        [&artifacts.kernel, &artifacts.initrd].map(|file| content::hash(file).unwrap_or_default());
    Hash::default().text(&both.join(" ")).finish()
}

/// Saves a screenshot if QEMU answers in time: the verdict does not wait longer.
pub(super) async fn screen(machine: &Machine, evidence: &Evidence) {
    let file = evidence.file("screen.png");
    let screenshot = machine.screenshot(&file);
    let saved = tokio::time::timeout(scaled(SCREENSHOT), screenshot).await;
    if !matches!(saved, Ok(Ok(()))) {
        // The file may be incomplete.
        let _ = std::fs::remove_file(&file);
    }
}

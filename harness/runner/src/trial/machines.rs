//! The machines of a trial: one, or several with networks between them.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;

use crate::session::{LOGIN, Networks, Session, StepFailure, scaled};
use events::SnapshotOutcome;
use scenario::step::{Undone, WaitForStep};
use scenario::{Action, Step};

use super::collect;
use super::definition::Trial;
use super::keep::Kept;
use super::log::Log;
use super::outcome;
use super::settings::Settings;
use super::start::StartedMachine;

/// The machines of a trial.
pub(super) struct Machines {
    pub(super) networks: Arc<Networks>,
    /// At least one.
    pub(super) all: Vec<StartedMachine>,
}

/// A failure, and the index of the machine that it happened on.
pub(super) type Failed = (usize, StepFailure);

impl Machines {
    /// A session for each machine.
    pub(super) fn sessions<'a>(
        &'a self,
        trial: &'a Trial,
        snapshots: &'a Path,
        seed: Option<u64>,
    ) -> Vec<Session<'a>> {
        let session = |one: &'a StartedMachine| {
            let machine = Arc::clone(&one.machine);
            Session::new(machine, &one.keys, snapshots, &trial.project)
                .with_seed(seed)
                .with_networks(&self.networks)
        };
        self.all.iter().map(session).collect()
    }

    /// Waits until the first step can begin on all machines.
    pub(super) async fn ready(
        &self,
        wanted: Option<&WaitForStep>,
        sessions: &mut [Session<'_>],
    ) -> Result<(), Failed> {
        let machines = self.all.iter().zip(sessions).enumerate();
        let ready = machines.map(|(index, (machine, session))| async move {
            let ready = async {
                machine.ready(wanted, session).await?;
                match &machine.name {
                    Some(name) => self.networks.settled(name, scaled(LOGIN)).await,
                    None => Ok(()),
                }
            };
            ready.await.map_err(|failure| (index, failure))
        });
        try_join_all(ready).await.map(drop)
    }

    /// Whether a step runs on a machine. A step about networks runs once; `undo: all` without machines is about
    /// all.
    pub(super) fn takes_part(&self, step: &Step, index: usize) -> bool {
        let name = self.all[index].name.as_ref();
        match name {
            Some(name) if !step.on.is_empty() => step.on.contains(name),
            _ => index == 0 || matches!(step.action, Action::Undo(Undone::All)),
        }
    }

    /// Whether the machines were forked, and so have run the setups already.
    pub(super) fn are_forks(&self) -> bool {
        self.all.iter().all(StartedMachine::is_fork)
    }

    /// Stops all machines.
    pub(super) async fn stop(&self) {
        join_all(self.all.iter().map(|one| one.machine.stop())).await;
    }

    /// Writes screenshots, collected files and captures to the evidence of a failed trial.
    pub(super) async fn record_failure(
        &self,
        trial: &Trial,
        sessions: &mut [Session<'_>],
        log: &Log<'_>,
    ) {
        for (one, session) in self.all.iter().zip(sessions) {
            // Before the connections close: the screenshot must show the machine as it was.
            outcome::screen(&session.machine, &one.evidence).await;
            let wanted = &trial.scenario.collect;
            log.notes(&collect::collect(wanted, session, &one.evidence).await);
        }
        self.write_captures(log);
    }

    /// Writes what the networks captured to the evidence.
    pub(super) fn write_captures(&self, log: &Log<'_>) {
        if let Err(error) = self.networks.write_captures(log.evidence.folder()) {
            log.notes(&[format!("the captures cannot be written: {error}")]);
        }
    }

    /// Saves failure snapshots of all machines as they were at one moment. This stops the machines.
    pub(super) async fn keep(
        &self,
        trial: &Trial,
        sessions: &[Session<'_>],
        settings: &Settings,
        log: &Log<'_>,
    ) -> SnapshotOutcome {
        // A machine that has exited cannot be paused; keeping it says so.
        let pause = |session: &Session<'_>| {
            let machine = Arc::clone(&session.machine);
            async move { drop(machine.qmp("stop", Value::Null).await) }
        };
        if sessions.len() > 1 {
            join_all(sessions.iter().map(pause)).await;
        }
        let kept = self.all.iter().zip(sessions);
        let kept: Vec<_> = kept
            .map(|(one, session)| Kept {
                name: one.name.as_deref(),
                machine: &session.machine,
                keys: &one.keys,
            })
            .collect();
        trial.keep(&kept, settings, log).await
    }
}

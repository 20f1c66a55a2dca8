//! What a machine goes through before the first step: each setup once, kept as a checkpoint, or all
//! of them in a machine of the trial's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::artifacts::Artifacts;
use crate::checkpoint::{Held, Store};
use crate::evidence::Evidence;
use events::What;
use machine::{KeyPair, Machine};
use scenario::Setup;

use super::begin::{Begun, infrastructure};
use super::deadline::{self, Deadline, Patience};
use super::red_verdict::{Ran, Red};
use super::run::within;
use super::session::Session;
use super::{Failure, Log, Settings, Trial, closed, outcome, scaled};

/// For all steps of a setup together, on the reference host.
const SETUP: Duration = Duration::from_secs(600);

/// What is needed to make checkpoints.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub(super) store: &'a Store,
    pub(super) artifacts: &'a Artifacts,
    pub(super) settings: &'a Settings,
}

impl Trial {
    /// The checkpoint of a machine that went through so many of the trial's setups. What is there
    /// is used; what is not is made of the one before.
    pub(super) async fn checkpoint(
        &self,
        maker: Maker<'_>,
        setups: usize,
    ) -> Result<Held, Failure> {
        let recipe = self.recipe(maker.artifacts, setups)?;
        let make = async |folder: &Path| match setups.checked_sub(1) {
            None => self.boot_checkpoint(maker, folder).await,
            Some(last) => Box::pin(self.setup_checkpoint(maker, folder, last)).await,
        };
        maker.store.obtain(&recipe, making(setups), make).await
    }

    /// Starts a machine on the checkpoint of so many setups. Where QEMU does not take what is kept,
    /// that is made once more.
    pub(super) async fn go_on(
        &self,
        maker: Maker<'_>,
        setups: usize,
        fork: impl AsyncFn(&Held) -> Result<Machine, Failure>,
    ) -> Result<(Held, Machine), Failure> {
        let held = self.checkpoint(maker, setups).await?;
        let refused = match fork(&held).await {
            Ok(machine) => return Ok((held, machine)),
            Err(failure) => failure,
        };
        drop(held);
        let name = self.recipe(maker.artifacts, setups)?.name();
        if !maker.store.remove(&name) {
            return Err(refused);
        }
        maker.settings.listeners.tell(What::Note {
            trial: Some(self.name()),
            text: format!("its checkpoint is made anew: {}", refused.text()),
        });
        let held = self.checkpoint(maker, setups).await?;
        let machine = fork(&held).await?;
        Ok((held, machine))
    }

    /// Goes on from the checkpoint before a setup, does its steps, and saves the machine.
    async fn setup_checkpoint(
        &self,
        maker: Maker<'_>,
        folder: &Path,
        number: usize,
    ) -> Result<KeyPair, Failure> {
        let setup = &self.scenario.setups[number];
        let name = format!("{}-setup-{}", self.profile.name, setup.name);
        let evidence = Evidence::begin(&maker.settings.evidence, &name)?;
        self.record(maker.artifacts, maker.settings, &evidence);
        let made = Box::pin(self.set_up_and_save(maker, folder, number, &evidence)).await;
        made.map_err(|failure| closed(&evidence, failure))
    }

    async fn set_up_and_save(
        &self,
        maker: Maker<'_>,
        folder: &Path,
        number: usize,
        evidence: &Evidence,
    ) -> Result<KeyPair, Failure> {
        let setup = &self.scenario.setups[number];
        let fork = async |before: &Held| {
            let spec = self.spec(maker.artifacts, &before.keys)?;
            let machine = Machine::fork_savable(spec, &before.saved, folder, evidence.logs()).await;
            machine.map_err(|error| infrastructure(error, evidence))
        };
        let (before, machine) = self.go_on(maker, number, fork).await?;
        let begun = Begun::on(Arc::new(machine), before);
        let log = self.log(maker.settings, evidence, self.name());
        let done = Box::pin(self.go_through(&begun, setup, &log)).await;
        if done.is_err() {
            outcome::screen(&begun.machine, evidence).await;
        }
        log.tell(What::Setup {
            trial: self.name(),
            setup: setup.name.clone(),
            evidence: evidence.folder().to_path_buf(),
            ready: done.is_ok(),
        });
        if let Err(red) = done {
            let fate = self
                .keep(&begun.machine, &begun.keys, maker.settings, &log)
                .await;
            let failure = red.conclude(self, &begun.machine, evidence, fate);
            begun.machine.stop().await;
            return Err(failure);
        }
        save(&begun.machine, folder, evidence).await?;
        Ok(begun.keys)
    }

    async fn go_through(
        &self,
        begun: &Begun,
        setup: &Arc<Setup>,
        log: &Log<'_>,
    ) -> Result<(), Red> {
        let mut ran = Vec::new();
        let snapshots = self.snapshots();
        let mut session = Session::new(Arc::clone(&begun.machine), &begun.keys, &snapshots);
        let what = format!("fork, for the setup {}", setup.name);
        log.around(0, 1, &what, begun.ready(None, &mut session), &mut ran)
            .await
            .map_err(|fault| Red::boot(fault, &ran))?;
        self.set_up(setup, &mut session, log, &mut ran).await
    }

    /// Does the steps of a setup.
    pub(super) async fn set_up(
        &self,
        setup: &Arc<Setup>,
        session: &mut Session<'_>,
        log: &Log<'_>,
        ran: &mut Vec<Ran>,
    ) -> Result<(), Red> {
        let whole = Deadline::within(scaled(SETUP));
        for (number, step) in setup.steps.iter().enumerate() {
            let what = format!("setup {}: {}", setup.name, step.title());
            let work = within(step, session, &whole, Patience::with(step));
            log.around(0, step.line, &what, work, ran)
                .await
                .map_err(|fault| Red::setup(fault, setup, number, ran))?;
        }
        Ok(())
    }
}

/// For another process to make the checkpoint of a machine that went through so many setups, with
/// all that it goes on from; twice, for what QEMU refuses is made once more.
fn making(setups: usize) -> Duration {
    let around = deadline::LOGIN * 2 + deadline::REST;
    let setups = u32::try_from(setups).unwrap_or(u32::MAX);
    let all = deadline::BOOT + around + (SETUP + around).saturating_mul(setups);
    scaled(all.saturating_mul(2))
}

/// Saves a machine; its evidence is of no more use then.
pub(super) async fn save(
    machine: &Machine,
    folder: &Path,
    evidence: &Evidence,
) -> Result<(), Failure> {
    machine.settle(scaled(deadline::REST)).await;
    let saved = machine.save(folder).await;
    saved.map_err(|error| infrastructure(format!("no checkpoint: {error}"), evidence))?;
    Ok(std::fs::remove_dir_all(evidence.folder())?)
}

//! Starts the machines of `harness run`.

use std::any::Any;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::cluster::{self, Cluster};
use super::member::Member;
use super::running::RunningMachine;
use super::spec::{Place, spec};
use super::state::{Claim, StateFolder};
use super::{RunOptions, other, resources};
use host::speed;
use machine::{Machine, MachineError};
use runner::evidence::Evidence;

/// The timeout of the power-off of one guest, on the reference host.
const POWER_OFF_SECONDS: u64 = 15;
/// The time that the owner needs in addition, on the reference host.
const STOP_SECONDS: u64 = 10;

/// The started machines and the claim on their state folder.
pub(super) struct Booting {
    /// At least one.
    pub(super) machines: Vec<Member>,
    pub(super) evidence: Evidence,
    pub(super) kind: Kind,
    /// Earlier output of the serial console of the only machine.
    pub(super) before: String,
    /// Resources that must live as long as the machines.
    #[allow(dead_code, reason = "held until the machines exit")]
    pub(super) held: Option<Box<dyn Any + Send>>,
    pub(super) claim: Claim,
}

/// The origin of the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They boot, and are powered off at the end.
    Boots,
    /// The machine of a trial: it has booted already, and is discarded at the end.
    Entered {
        /// Whether it is paused.
        paused: bool,
    },
}

/// Starts the machines. A single machine is started without waiting for its guest.
pub(super) async fn start(options: &RunOptions) -> Result<Booting, MachineError> {
    let state = StateFolder::new(&options.state_folder);
    let claim = state.claim()?;
    let all = machines(options);
    let ports = resources::reserve_ports(&all)?;
    let admitted = resources::admit(options).await?;
    claim.record(&all).map_err(other)?;
    let evidence = state.evidence("run")?;
    let machines = if let [alone] = &all[..] {
        let place = Place::alone(alone.port);
        vec![member(options, &state, place, &evidence).await?]
    } else {
        let cluster = Cluster::new(options, &state, &evidence);
        cluster.boot(&all).await?
    };
    drop(ports);
    Ok(Booting {
        machines,
        evidence,
        kind: Kind::Boots,
        before: String::new(),
        held: admitted.map(|admitted| Box::new(admitted) as Box<dyn Any + Send>),
        claim,
    })
}

/// The machines to start, with their ports.
fn machines(options: &RunOptions) -> Vec<RunningMachine> {
    let machine = |(port, index)| RunningMachine {
        name: (options.machines > 1).then(|| cluster::name(index)),
        port,
    };
    (options.port..=u16::MAX)
        .zip(0..options.machines)
        .map(machine)
        .collect()
}

/// Starts one machine without waiting for its guest.
pub(super) async fn member(
    options: &RunOptions,
    state: &StateFolder,
    place: Place,
    evidence: &Evidence,
) -> Result<Member, MachineError> {
    let (spec, login) = spec(options, state, &place)?;
    let machine = Machine::start(spec, evidence.logs()).await?;
    Ok(Member {
        name: place.name,
        address: place.address,
        machine: machine.into(),
        login,
    })
}

impl Booting {
    /// The first machine, which is the only one unless they are a cluster.
    pub(super) fn machine(&self) -> &Machine {
        &self.machines[0].machine
    }

    /// How to log in to the first machine.
    pub(super) fn login(&self) -> &str {
        &self.machines[0].login
    }

    /// The machines and how to log in.
    pub(super) fn describe(&self) -> String {
        match &self.machines[..] {
            [alone] => alone.login.clone(),
            all => cluster::describe(all),
        }
    }

    /// Waits until the machines are ready. A guest failure or the exit of QEMU fails the wait.
    pub(super) async fn ready(&self) -> Result<(), MachineError> {
        if self.kind != Kind::Boots {
            return Ok(());
        }
        try_join_all(self.machines.iter().map(Member::ready))
            .await
            .map(drop)
    }

    /// Waits until all machines have ended, and reports the end of each. An error if one of them failed.
    pub(super) async fn ended(&self) -> Result<(), MachineError> {
        let ends = self.machines.iter();
        let ends = ends.map(async |one| (&one.name, one.ended().await));
        let mut ends: FuturesUnordered<_> = ends.collect();
        let (mut running, mut verdict) = (self.recorded(), Ok(()));
        while let Some((name, ended)) = ends.next().await {
            match ended {
                Ok(text) => eprintln!("{text}"),
                Err(error) => {
                    eprintln!("{error}");
                    verdict = Err(error);
                }
            }
            running.retain(|one| one.name != *name);
            self.claim.record(&running).map_err(other)?;
        }
        verdict
    }

    fn recorded(&self) -> Vec<RunningMachine> {
        let recorded = |one: &Member| RunningMachine {
            name: one.name.clone(),
            port: one.machine.ssh_port(),
        };
        self.machines.iter().map(recorded).collect()
    }

    /// Asks the guests to power off, and cuts the power of those that do not.
    pub(super) async fn power_off(self) {
        if self.kind != Kind::Boots {
            join_all(self.machines.iter().map(|one| one.machine.stop())).await;
            return;
        }
        let running = self.machines.iter();
        let running = running.filter(|one| !one.machine.has_exited());
        let running: Vec<_> = running.collect();
        let limit = power_off_seconds(running.len());
        join_all(running.iter().map(|one| one.power_off(limit))).await;
    }
}

/// The timeout of the power-off of so many guests, which share the processors of this host.
fn power_off_seconds(machines: usize) -> Duration {
    speed::seconds(POWER_OFF_SECONDS * machines.max(1) as u64)
}

/// An upper bound of the duration of [`Booting::power_off`].
pub(super) fn power_off_limit(machines: usize) -> Duration {
    power_off_seconds(machines) + speed::seconds(STOP_SECONDS)
}

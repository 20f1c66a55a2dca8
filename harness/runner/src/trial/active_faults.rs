//! What steps broke. It is mended at the end of the trial whatever the verdict, because the machine
//! may go on after it, and by `undo` before.

use std::sync::Arc;

use machine::{FaultyDisk, Machine, MachineError, Relay};
use scenario::{Account, Undone};

use super::deadline::Deadline;
use super::session::Session;
use super::step_failure::StepFailure;
use super::steps::carrier;

/// Something that is broken.
#[derive(Debug)]
pub enum ActiveFault {
    /// The machine stands still.
    Paused,
    /// The cable of an interface is pulled.
    Link {
        /// The interface in the machine.
        interface: String,
        /// QEMU's name for what it leads to.
        network: String,
        /// How often the machine had seen its carrier go before.
        drops: u64,
    },
    /// Packets of an interface are late or lost.
    Packets {
        /// The interface in the machine.
        interface: String,
        /// Who delays and loses them.
        relay: Relay,
    },
    /// A disk fails or is slow.
    Disk {
        /// Its number in the scenario.
        number: usize,
        /// What is to be taken away.
        broken: FaultyDisk,
    },
    /// A disk's file system is full.
    Full {
        /// Its number in the scenario.
        number: usize,
        /// The file that fills it.
        file: String,
    },
    /// The clock jumped.
    Clock,
    /// Memory was taken.
    Memory,
}

impl ActiveFault {
    /// Whether `what` mends it.
    pub fn is(&self, what: Undone) -> bool {
        match self {
            _ if what == Undone::All => true,
            Self::Paused => false,
            Self::Link { .. } | Self::Packets { .. } => what == Undone::Network,
            Self::Disk { .. } | Self::Full { .. } => what == Undone::Disk,
            Self::Clock => what == Undone::Clock,
            Self::Memory => what == Undone::Memory,
        }
    }

    /// Whether it is still so after the power was off.
    fn outlives_power_cut(&self) -> bool {
        !matches!(self, Self::Paused | Self::Clock)
    }

    fn name(&self) -> String {
        match self {
            Self::Paused => "the machine stands still".into(),
            Self::Link { interface, .. } => format!("{interface} is down"),
            Self::Packets { interface, .. } => format!("packets of {interface} are late or lost"),
            Self::Disk { number, .. } => format!("disk {number} fails"),
            Self::Full { number, .. } => format!("disk {number} is full"),
            Self::Clock => "the clock is wrong".into(),
            Self::Memory => "memory is taken".into(),
        }
    }
}

/// All that is broken, in the order in which it was.
#[derive(Debug, Default)]
pub struct ActiveFaults(Vec<ActiveFault>);

impl ActiveFaults {
    /// The power was off: the machine has a clock that is right, and runs.
    pub fn after_power_cut(&mut self) {
        self.0.retain(ActiveFault::outlives_power_cut);
    }
}

impl Session<'_> {
    /// Remembers what a step broke.
    pub fn broke(&mut self, what: ActiveFault) {
        self.broken.0.push(what);
    }

    /// Whether the machine stands still, is off, or has no network that can be relied on.
    pub fn is_silent(&self) -> bool {
        let silences = |one: &ActiveFault| {
            use ActiveFault as B;
            matches!(one, B::Paused | B::Link { .. } | B::Packets { .. })
        };
        let mut broken = self.broken.0.iter();
        self.machine.was_switched_off() || broken.any(silences)
    }

    /// Mends what `which` says, the last first.
    ///
    /// # Errors
    /// What cannot be mended; the others are.
    pub async fn revert(
        &mut self,
        which: impl Fn(&ActiveFault) -> bool,
        deadline: &Deadline,
    ) -> Result<(), StepFailure> {
        let all = std::mem::take(&mut self.broken.0);
        let (wanted, rest) = all.into_iter().partition(which);
        self.broken.0 = rest;
        let wanted: Vec<_> = wanted;
        let mut first = Ok(());
        for one in wanted.into_iter().rev() {
            if !self.machine.has_exited() {
                first = first.and(self.mend_one(one, deadline).await);
            }
        }
        first
    }

    async fn mend_one(&mut self, one: ActiveFault, deadline: &Deadline) -> Result<(), StepFailure> {
        let name = one.name();
        let machine = Arc::clone(&self.machine);
        let mended = match one {
            ActiveFault::Paused => resume(&machine).await,
            ActiveFault::Packets { relay, .. } => machine
                .restore_packets(relay)
                .await
                .map_err(StepFailure::from),
            ActiveFault::Disk { broken, .. } => machine
                .repair_disk(&broken)
                .await
                .map_err(StepFailure::from),
            ActiveFault::Memory => {
                let all = machine.set_balloon(u64::MAX >> 20, deadline.left());
                all.await.map_err(StepFailure::from)
            }
            ActiveFault::Clock => self.set_clock(deadline).await,
            ActiveFault::Full { file, .. } => {
                let remove = format!("rm -f '{file}' && sync");
                self.as_root(&remove, deadline).await.map(drop)
            }
            ActiveFault::Link {
                interface,
                network,
                drops,
            } => match machine.set_link(&network, true).await {
                Ok(()) => carrier::came_back(&interface, drops, self, deadline).await,
                Err(error) => Err(error.into()),
            },
        };
        mended.map_err(|fault| StepFailure {
            what: format!("{name}, and stays so: {}", fault.what),
            ..fault
        })
    }

    /// Mends all at the end of the trial, as far as the machine allows. What is left, in words.
    pub async fn revert_all(&mut self, deadline: &Deadline) -> Option<String> {
        if self.broken.0.is_empty() {
            return None;
        }
        let work = self.revert(|_| true, deadline);
        match tokio::time::timeout(deadline.left(), work).await {
            Ok(mended) => mended.err().map(|fault| fault.what),
            Err(_) => Some("what the steps broke was not mended in time".into()),
        }
    }

    /// A command as root, which must end well.
    ///
    /// # Errors
    /// It does not, or the connection broke.
    pub async fn as_root(
        &mut self,
        command: &str,
        deadline: &Deadline,
    ) -> Result<String, StepFailure> {
        let output = self.run(command, Account::Root, deadline).await?;
        match output.exit {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            _ => {
                Err(StepFailure::new("a command of the harness failed")
                    .with_output(command, &output))
            }
        }
    }
}

async fn resume(machine: &Machine) -> Result<(), StepFailure> {
    let went_on: Result<_, MachineError> = machine.resume().await;
    Ok(went_on.map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cut_starts_a_machine_and_its_clock_and_leaves_the_rest_broken() {
        let full = ActiveFault::Full {
            number: 0,
            file: "/var/filler".into(),
        };
        let mut broken = ActiveFaults(vec![
            ActiveFault::Paused,
            full,
            ActiveFault::Clock,
            ActiveFault::Memory,
        ]);
        broken.after_power_cut();
        let left: Vec<_> = broken.0.iter().map(ActiveFault::name).collect();
        assert_eq!(left, ["disk 0 is full", "memory is taken"]);
    }
}

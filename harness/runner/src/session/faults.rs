//! The faults that steps injected. They are reverted by `undo` or at the end of the trial, whatever the
//! verdict, because the machine may continue after it.

use std::sync::Arc;

use machine::{FaultyDisk, Machine, MachineError, Relay};
use scenario::Account;
use scenario::step::Undone;

use super::carrier;
use super::deadline::Deadline;
use super::failure::StepFailure;
use super::session::Session;

/// An injected fault.
#[derive(Debug)]
pub(crate) enum ActiveFault {
    /// The machine is paused.
    Paused,
    /// The link of an interface is down.
    Link {
        /// The interface in the machine.
        interface: String,
        /// QEMU's name of the network behind it.
        network: String,
        /// The carrier down count of the interface before the fault.
        drops: u64,
    },
    /// Packets of an interface are delayed or dropped.
    Packets {
        /// The interface in the machine.
        interface: String,
        /// The relay that delays and drops them.
        relay: Relay,
    },
    /// A disk returns errors or is slow.
    Disk {
        /// Its number in the scenario.
        number: usize,
        /// The fault to remove.
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
    /// The balloon took memory.
    Memory,
}

impl ActiveFault {
    /// Whether `undo` with this target reverts it.
    pub(crate) fn is_reverted_by(&self, target: Undone) -> bool {
        match self {
            _ if target == Undone::All => true,
            Self::Paused => false,
            Self::Link { .. } | Self::Packets { .. } => target == Undone::Network,
            Self::Disk { .. } | Self::Full { .. } => target == Undone::Disk,
            Self::Clock => target == Undone::Clock,
            Self::Memory => target == Undone::Memory,
        }
    }

    /// Whether the fault persists after a power cut.
    fn survives_power_cut(&self) -> bool {
        !matches!(self, Self::Paused | Self::Clock)
    }

    fn name(&self) -> String {
        match self {
            Self::Paused => "the machine is paused".into(),
            Self::Link { interface, .. } => format!("{interface} is down"),
            Self::Packets { interface, .. } => {
                format!("packets of {interface} are delayed or dropped")
            }
            Self::Disk { number, .. } => format!("disk {number} fails or is slow"),
            Self::Full { number, .. } => format!("disk {number} is full"),
            Self::Clock => "the clock is wrong".into(),
            Self::Memory => "the balloon holds memory".into(),
        }
    }
}

/// All active faults, in the order of their injection.
#[derive(Debug, Default)]
pub(crate) struct ActiveFaults(Vec<ActiveFault>);

impl ActiveFaults {
    /// Drops the faults that a power cut ends: afterwards the machine runs and its clock is right.
    pub(crate) fn after_power_cut(&mut self) {
        self.0.retain(ActiveFault::survives_power_cut);
    }
}

impl Session<'_> {
    /// Records a fault that a step injected.
    pub(crate) fn add_fault(&mut self, fault: ActiveFault) {
        self.faults.0.push(fault);
    }

    /// Whether the machine is paused, is off, or has no reliable network.
    pub(crate) fn is_unreachable(&self) -> bool {
        use ActiveFault::{Link, Packets, Paused};
        let mut faults = self.faults.0.iter();
        self.machine.was_switched_off()
            || faults.any(|fault| matches!(fault, Paused | Link { .. } | Packets { .. }))
    }

    /// Reverts the faults that `which` selects, the last one first.
    ///
    /// # Errors
    /// The first fault that cannot be reverted. The others are reverted anyway.
    pub(crate) async fn revert(
        &mut self,
        which: impl Fn(&ActiveFault) -> bool,
        deadline: &Deadline,
    ) -> Result<(), StepFailure> {
        let all = std::mem::take(&mut self.faults.0);
        let (wanted, rest) = all.into_iter().partition(which);
        self.faults.0 = rest;
        let wanted: Vec<_> = wanted;
        let mut first = Ok(());
        for one in wanted.into_iter().rev() {
            if !self.machine.has_exited() {
                first = first.and(self.revert_one(one, deadline).await);
            }
        }
        first
    }

    async fn revert_one(
        &mut self,
        fault: ActiveFault,
        deadline: &Deadline,
    ) -> Result<(), StepFailure> {
        let name = fault.name();
        let machine = Arc::clone(&self.machine);
        let reverted = match fault {
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
        reverted.map_err(|failure| StepFailure {
            what: format!("cannot revert a fault ({name}): {}", failure.what),
            ..failure
        })
    }

    /// Reverts all faults at the end of the trial. Returns a message if one cannot be reverted.
    pub(crate) async fn revert_all(&mut self, deadline: &Deadline) -> Option<String> {
        if self.faults.0.is_empty() {
            return None;
        }
        let work = self.revert(|_| true, deadline);
        match tokio::time::timeout(deadline.left(), work).await {
            Ok(reverted) => reverted.err().map(|failure| failure.what),
            Err(_) => Some("timed out while reverting the injected faults".into()),
        }
    }

    /// Runs a command as root and returns its stdout.
    ///
    /// # Errors
    /// The command fails, or the connection breaks.
    pub(crate) async fn as_root(
        &mut self,
        command: &str,
        deadline: &Deadline,
    ) -> Result<String, StepFailure> {
        let output = self.run(command, Account::Root, deadline).await?;
        match output.exit {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            _ => Err(StepFailure::new("a command that the harness ran failed")
                .with_output(command, &output)),
        }
    }
}

async fn resume(machine: &Machine) -> Result<(), StepFailure> {
    let resumed: Result<_, MachineError> = machine.resume().await;
    Ok(resumed.map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_cut_ends_a_pause_and_a_clock_jump_and_no_other_fault() {
        let full = ActiveFault::Full {
            number: 0,
            file: "/var/filler".into(),
        };
        let mut faults = ActiveFaults(vec![
            ActiveFault::Paused,
            full,
            ActiveFault::Clock,
            ActiveFault::Memory,
        ]);
        faults.after_power_cut();
        let left: Vec<_> = faults.0.iter().map(ActiveFault::name).collect();
        assert_eq!(left, ["disk 0 is full", "the balloon holds memory"]);
    }
}

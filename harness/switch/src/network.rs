//! The handle of a network.

use std::fs::File;
use std::io::{self, BufWriter};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SndBuf;
use tokio::task::AbortHandle;

use crate::capture::{self, Captured, Ring};
use crate::filter::Filter;
use crate::forward::{CutId, Forwarding, Totals};
use crate::hosts::Hosts;
use crate::impairment::Impairment;
use crate::queue::{Shared, read, send_delayed};
use crate::subnet::{Subnet, mac};
use crate::worker::Worker;

/// Bytes of frames that wait for a machine or for the switch, as the kernel counts them: about twice their length.
const BUFFER_BYTES: usize = 1 << 20;
/// Bytes of frames that the capture keeps.
const CAPTURE_BYTES: usize = 32 << 20;

/// The settings of a network. The default is `lan`, 10.9.0.0/24 with DHCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The name of the network.
    pub name: String,
    /// Its addresses.
    pub subnet: Subnet,
    /// Whether its DHCP server gives each machine its address.
    pub dhcp: bool,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            name: "lan".into(),
            subnet: Subnet::DEFAULT,
            dhcp: true,
        }
    }
}

/// Why a network cannot do what it is asked to do.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The subnet has no address with this number.
    #[error("the network `{network}` ({subnet}) has no address for machine {number}")]
    Full {
        /// The network.
        network: String,
        /// Its addresses.
        subnet: Subnet,
        /// The number of the machine.
        number: u32,
    },
    /// The machine is attached already.
    #[error("the machine `{machine}` is attached to the network `{network}` already")]
    Attached {
        /// The network.
        network: String,
        /// The machine.
        machine: String,
    },
    /// No machine of this name is attached.
    #[error(
        "the machine `{machine}` is not attached to the network `{network}`; attached: {attached}"
    )]
    Unknown {
        /// The network.
        network: String,
        /// The machine.
        machine: String,
        /// The machines that are.
        attached: String,
    },
    /// The socket of a machine could not be created.
    #[error("the network `{network}`: {source}")]
    Socket {
        /// The network.
        network: String,
        /// The cause.
        source: io::Error,
    },
}

/// The end of a link that belongs to a machine. Dropping it detaches the machine.
#[derive(Debug)]
pub struct Attachment {
    /// The hardware address of the machine's network card.
    pub mac: [u8; 6],
    /// The address that DHCP gives to the machine.
    pub address: Ipv4Addr,
    /// The machine's end: a datagram socket on which each datagram is a frame.
    /// The one who takes it keeps it open.
    pub socket: Option<OwnedFd>,
    machine: Arc<str>,
    network: Network,
    reader: AbortHandle,
}

/// A network. Its clones are the same network; it ends with the last of them and of its attachments.
#[derive(Debug, Clone)]
pub struct Network {
    settings: Arc<NetworkSettings>,
    shared: Arc<Shared>,
    worker: Arc<Worker>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// Creates a network with the default [settings](NetworkSettings); must be called inside a tokio runtime.
    pub fn new() -> Self {
        Self::with_settings(NetworkSettings::default())
    }

    /// Creates a network; must be called inside a tokio runtime.
    pub fn with_settings(settings: NetworkSettings) -> Self {
        let hosts = Hosts::new(settings.subnet, settings.dhcp);
        let forwarding = Forwarding::new(hosts, Ring::new(CAPTURE_BYTES));
        let shared = Arc::new(Shared::new(forwarding));
        let worker = Worker::start(send_delayed(Arc::clone(&shared)));
        Self {
            settings: Arc::new(settings),
            shared,
            worker: Arc::new(worker),
        }
    }

    /// The settings of the network.
    pub fn settings(&self) -> &NetworkSettings {
        &self.settings
    }

    /// Attaches a machine. `number`, from 1, decides its addresses. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The machine is attached already; the subnet has no such address; this process has no file
    /// descriptors left.
    pub fn attach(&self, machine: &str, number: u32) -> Result<Attachment, NetworkError> {
        self.attach_at(machine, Some(number))
    }

    /// Attaches a machine with the first number that no other machine has. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// As for [`Network::attach`].
    pub fn attach_next(&self, machine: &str) -> Result<Attachment, NetworkError> {
        self.attach_at(machine, None)
    }

    fn attach_at(&self, machine: &str, number: Option<u32>) -> Result<Attachment, NetworkError> {
        let network = || self.settings.name.clone();
        let subnet = self.settings.subnet;
        let socket = |source| NetworkError::Socket {
            network: network(),
            source,
        };
        let (here, there) = UnixDatagram::pair().map_err(socket)?;
        for end in [&here, &there] {
            // A burst that does not fit is lost. The kernel grants what net.core.wmem_max allows.
            setsockopt(end, SndBuf, &BUFFER_BYTES).map_err(|errno| socket(errno.into()))?;
        }
        here.set_nonblocking(true).map_err(socket)?;
        let reader = here.try_clone().map_err(socket)?;
        let reader = self
            .worker
            .within(|| tokio::net::UnixDatagram::from_std(reader));
        let reader = reader.map_err(socket)?;
        let mut state = self.shared.state();
        if state.forwarding.has(machine) {
            let machine = machine.to_owned();
            return Err(NetworkError::Attached {
                network: network(),
                machine,
            });
        }
        let number = number.unwrap_or_else(|| state.forwarding.free_number(subnet));
        let full = || NetworkError::Full {
            network: network(),
            subnet,
            number,
        };
        let address = subnet.machine(number).ok_or_else(full)?;
        let machine = state.forwarding.add(machine, address);
        state.sockets.insert(Arc::clone(&machine), here);
        drop(state);
        let task = read(reader, Arc::clone(&machine), Arc::clone(&self.shared));
        Ok(Attachment {
            mac: mac(address),
            address,
            socket: Some(there.into()),
            machine,
            network: self.clone(),
            reader: self.worker.spawn(task).abort_handle(),
        })
    }

    /// Cuts the traffic from some machines to others, in this direction only.
    ///
    /// # Errors
    /// A machine is not attached.
    pub fn cut(&self, from: &[&str], to: &[&str]) -> Result<CutId, NetworkError> {
        for machine in from.iter().chain(to) {
            self.check(machine)?;
        }
        Ok(self.shared.state().forwarding.cut(from, to))
    }

    /// Cuts the traffic between two groups of machines, in both directions.
    ///
    /// # Errors
    /// A machine is not attached.
    pub fn partition(&self, one: &[&str], other: &[&str]) -> Result<[CutId; 2], NetworkError> {
        Ok([self.cut(one, other)?, self.cut(other, one)?])
    }

    /// Ends a cut.
    pub fn heal(&self, cut: CutId) {
        self.shared.state().forwarding.heal(cut);
    }

    /// Sets the impairment of a machine's link, in place of the one before.
    ///
    /// # Errors
    /// The machine is not attached.
    pub fn impair(&self, machine: &str, how: Impairment) -> Result<(), NetworkError> {
        self.check(machine)?;
        self.shared.state().forwarding.impair(machine, how);
        Ok(())
    }

    /// Checks that a machine is attached.
    fn check(&self, machine: &str) -> Result<(), NetworkError> {
        let state = self.shared.state();
        if state.forwarding.has(machine) {
            return Ok(());
        }
        Err(NetworkError::Unknown {
            network: self.settings.name.clone(),
            machine: machine.to_owned(),
            attached: state.forwarding.machines().join(", "),
        })
    }

    /// Whether a machine uses its address: it has answered an ARP request of the network's own host. If not,
    /// another request is sent. Without DHCP no machine counts as present.
    ///
    /// # Errors
    /// The machine is not attached.
    pub fn is_present(&self, machine: &str) -> Result<bool, NetworkError> {
        self.check(machine)?;
        let mut state = self.shared.state();
        match state.forwarding.probe(machine) {
            Ok(()) => Ok(true),
            Err(asked) => {
                if let Some(delivery) = asked {
                    state.send(&delivery);
                }
                Ok(false)
            }
        }
    }

    /// What the switch did so far.
    pub fn totals(&self) -> Totals {
        self.shared.state().forwarding.totals
    }

    /// The newest frames, oldest first.
    pub fn captured(&self) -> Vec<Captured> {
        self.shared.state().forwarding.ring.frames()
    }

    /// Whether a frame was captured that the filter selects, that `from` sent and that reached `to`.
    pub fn has_captured(&self, filter: &Filter, from: Option<&str>, to: Option<&str>) -> bool {
        self.has_captured_after(&mut 0, filter, from, to)
    }

    /// Looks only at frames after the first `seen`, and counts those that it looks at.
    fn has_captured_after(
        &self,
        seen: &mut u64,
        filter: &Filter,
        from: Option<&str>,
        to: Option<&str>,
    ) -> bool {
        let selected = |one: &Captured| {
            from.is_none_or(|name| one.from.as_deref() == Some(name))
                && to.is_none_or(|name| one.to.iter().any(|reached| **reached == *name))
                && filter.matches(&one.frame)
        };
        let state = self.shared.state();
        let ring = &state.forwarding.ring;
        let found = ring.after(*seen).any(selected);
        *seen = ring.pushed();
        found
    }

    /// Waits until such a frame is captured. Does not return if none is; frames that the capture holds already
    /// count as well.
    pub async fn capture(&self, filter: &Filter, from: Option<&str>, to: Option<&str>) {
        let (mut watch, mut seen) = (self.shared.captured.subscribe(), 0);
        // The sender lives as long as this network.
        while !self.has_captured_after(&mut seen, filter, from, to) && watch.changed().await.is_ok()
        {
        }
    }

    /// Writes the newest frames to a pcap file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_pcap(&self, file: &Path) -> io::Result<()> {
        let frames = self.captured();
        capture::write(&frames, &mut BufWriter::new(File::create(file)?))
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.reader.abort();
        let mut state = self.network.shared.state();
        state.forwarding.remove(&self.machine);
        state.sockets.remove(&self.machine);
    }
}

#[cfg(test)]
mod tests;

//! The handle of a network.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{self, BufWriter};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::capture::{self, Captured, Ring};
use crate::filter::Filter;
use crate::forward::{CutId, Delivery, Forwarding, Totals};
use crate::hosts::Hosts;
use crate::impairment::Impairment;
use crate::subnet::{Subnet, mac};

/// Bytes of frames that the capture keeps.
const CAPTURE_BYTES: usize = 32 << 20;
/// Maximum length of a frame: virtio-net's largest packet with its header.
const MAX_FRAME: usize = 65_550;
/// Frames that are read from one machine before others have their turn.
const BATCH: usize = 64;
/// Maximum number of frames that are delayed at one time.
const MAX_DELAYED: usize = 20_000;

/// The settings of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The name of the network.
    pub name: String,
    /// Its addresses.
    pub subnet: Subnet,
    /// Whether its DHCP server gives each machine its address.
    pub dhcp: bool,
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
    _sender: Arc<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A delayed frame is due earlier than all others.
    earlier: Notify,
    /// The number of captured frames.
    captured: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    forwarding: Forwarding,
    sockets: BTreeMap<Arc<str>, Arc<UnixDatagram>>,
    delayed: BinaryHeap<Delayed>,
    /// Keeps frames that are due at the same instant in order.
    sequence: u64,
}

#[derive(Debug)]
struct Delayed {
    delivery: Delivery,
    sequence: u64,
}

impl Network {
    /// Creates a network; must be called inside a tokio runtime.
    pub fn new(settings: NetworkSettings) -> Self {
        let hosts = Hosts::new(settings.subnet, settings.dhcp);
        let state = State {
            forwarding: Forwarding::new(hosts, Ring::new(CAPTURE_BYTES)),
            sockets: BTreeMap::new(),
            delayed: BinaryHeap::new(),
            sequence: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            earlier: Notify::new(),
            captured: watch::Sender::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(send_delayed(Arc::clone(&shared)));
        Self {
            settings: Arc::new(settings),
            shared,
            _sender: Arc::new(tasks),
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
        let network = || self.settings.name.clone();
        let subnet = self.settings.subnet;
        let full = || NetworkError::Full {
            network: network(),
            subnet,
            number,
        };
        let address = subnet.machine(number).ok_or_else(full)?;
        let socket = |source| NetworkError::Socket {
            network: network(),
            source,
        };
        let (here, there) = UnixDatagram::pair().map_err(socket)?;
        here.set_nonblocking(true).map_err(socket)?;
        let reader = tokio::net::UnixDatagram::from_std(here.try_clone().map_err(socket)?);
        let reader = reader.map_err(socket)?;
        let mut state = self.shared.state();
        if state.forwarding.has(machine) {
            let machine = machine.to_owned();
            return Err(NetworkError::Attached {
                network: network(),
                machine,
            });
        }
        let machine = state.forwarding.add(machine, address);
        state.sockets.insert(Arc::clone(&machine), Arc::new(here));
        drop(state);
        let task = read(reader, Arc::clone(&machine), Arc::clone(&self.shared));
        Ok(Attachment {
            mac: mac(address),
            address,
            socket: Some(there.into()),
            machine,
            network: self.clone(),
            reader: tokio::spawn(task).abort_handle(),
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

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame of a machine.
    fn take(&self, from: &Arc<str>, frame: &[u8]) {
        let mut state = self.state();
        let now = Instant::now();
        let mut earlier = false;
        for delivery in state.forwarding.frame(from, frame.into(), now) {
            if delivery.due <= now {
                state.send(&delivery);
            } else {
                earlier |= state.delay(delivery);
            }
        }
        let received = state.forwarding.totals.received;
        drop(state);
        self.captured.send_replace(received);
        if earlier {
            self.earlier.notify_one();
        }
    }
}

impl State {
    /// Sends a frame, or drops it if the machine takes none: a paused guest does not read.
    fn send(&mut self, delivery: &Delivery) {
        let Some(socket) = self.sockets.get(&delivery.to) else {
            return;
        };
        let totals = &mut self.forwarding.totals;
        match socket.send(&delivery.frame) {
            Ok(_) => totals.delivered += 1,
            Err(_) => totals.overrun += 1,
        }
    }

    /// Returns whether this frame is due before all others.
    fn delay(&mut self, delivery: Delivery) -> bool {
        if self.delayed.len() >= MAX_DELAYED {
            self.forwarding.totals.overrun += 1;
            return false;
        }
        let earlier = self.next_due().is_none_or(|due| delivery.due < due);
        self.sequence += 1;
        let sequence = self.sequence;
        self.delayed.push(Delayed { delivery, sequence });
        earlier
    }

    fn next_due(&self) -> Option<Instant> {
        self.delayed.peek().map(|next| next.delivery.due)
    }

    /// Sends what is due, and returns when the next frame is.
    fn send_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while self.next_due().is_some_and(|due| due <= now) {
            if let Some(next) = self.delayed.pop() {
                self.send(&next.delivery);
            }
        }
        self.next_due()
    }
}

/// Reads the frames of a machine.
async fn read(socket: tokio::net::UnixDatagram, machine: Arc<str>, shared: Arc<Shared>) {
    let mut buffer = vec![0; MAX_FRAME];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(length) => shared.take(&machine, &buffer[..length]),
            // Nobody has the other end any more.
            Err(_) => return,
        }
        for _ in 0..BATCH {
            match socket.try_recv(&mut buffer) {
                Ok(length) => shared.take(&machine, &buffer[..length]),
                Err(_) => break,
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Sends delayed frames when they are due.
async fn send_delayed(shared: Arc<Shared>) {
    loop {
        let next = shared.state().send_due();
        let earlier = shared.earlier.notified();
        match next {
            Some(due) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = earlier => {}
                }
            }
            None => earlier.await,
        }
    }
}

impl Ord for Delayed {
    /// The greatest is the one that is due first.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |one: &Self| (one.delivery.due, one.sequence);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Delayed {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnet::Mac;

    fn network(dhcp: bool) -> Network {
        Network::new(NetworkSettings {
            name: "lan".into(),
            subnet: "10.9.0.0/24".parse().unwrap(),
            dhcp,
        })
    }

    /// A machine that can send and receive.
    struct Machine {
        link: Attachment,
        socket: tokio::net::UnixDatagram,
    }

    impl Machine {
        fn new(network: &Network, name: &str, number: u32) -> Self {
            let mut link = network.attach(name, number).unwrap();
            let socket = UnixDatagram::from(link.socket.take().unwrap());
            socket.set_nonblocking(true).unwrap();
            let socket = tokio::net::UnixDatagram::from_std(socket).unwrap();
            Self { link, socket }
        }

        async fn send(&self, to: Mac, text: &str) {
            let mut frame = [to, self.link.mac].concat();
            frame.extend([0x88, 0xb5]);
            frame.extend(text.as_bytes());
            self.socket.send(&frame).await.unwrap();
        }

        async fn receive(&self) -> String {
            let mut buffer = vec![0; 2000];
            let limit = Duration::from_secs(60);
            let received = tokio::time::timeout(limit, self.socket.recv(&mut buffer)).await;
            let length = received.expect("a frame arrives").unwrap();
            String::from_utf8_lossy(&buffer[14..length]).into_owned()
        }
    }

    #[tokio::test]
    async fn machines_exchange_frames_and_the_capture_has_them() {
        let network = network(true);
        let (a, b) = (
            Machine::new(&network, "a", 1),
            Machine::new(&network, "b", 2),
        );
        assert_eq!(a.link.address, Ipv4Addr::new(10, 9, 0, 1));
        a.send(b.link.mac, "hello").await;
        assert_eq!(b.receive().await, "hello");
        b.send(a.link.mac, "welcome").await;
        assert_eq!(a.receive().await, "welcome");
        let frames = network.captured();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].from.as_deref(), Some("b"));
        assert_eq!(network.totals().delivered, 2);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lan.pcap");
        network.write_pcap(&file).unwrap();
        assert!(file.metadata().unwrap().len() > 24);
    }

    #[tokio::test]
    async fn a_machine_that_does_not_read_blocks_nobody() {
        let network = network(true);
        let (a, b) = (
            Machine::new(&network, "a", 1),
            Machine::new(&network, "b", 2),
        );
        let _paused = Machine::new(&network, "c", 3);
        for number in 0..2000 {
            a.send([0xff; 6], &number.to_string()).await;
            assert_eq!(b.receive().await, number.to_string());
        }
        let totals = network.totals();
        assert!(totals.overrun > 0 && totals.received == 2000, "{totals:?}");
    }

    #[tokio::test]
    async fn delayed_frames_arrive_in_order() {
        let network = network(true);
        let (a, b) = (
            Machine::new(&network, "a", 1),
            Machine::new(&network, "b", 2),
        );
        let delay = Duration::from_millis(30);
        network
            .impair(
                "a",
                Impairment {
                    delay,
                    ..Default::default()
                },
            )
            .unwrap();
        let begin = Instant::now();
        for number in 0..20 {
            a.send(b.link.mac, &number.to_string()).await;
        }
        for number in 0..20 {
            assert_eq!(b.receive().await, number.to_string());
        }
        assert!(begin.elapsed() >= delay);
    }

    #[tokio::test]
    async fn a_cut_ends_when_it_is_healed() {
        let network = network(true);
        let (a, b) = (
            Machine::new(&network, "a", 1),
            Machine::new(&network, "b", 2),
        );
        let cut = network.cut(&["a"], &["b"]).unwrap();
        a.send(b.link.mac, "lost").await;
        let mut captured = network.shared.captured.subscribe();
        captured.wait_for(|&count| count == 1).await.unwrap();
        network.heal(cut);
        a.send(b.link.mac, "found").await;
        assert_eq!(b.receive().await, "found");
        let reached: Vec<_> = network.captured().iter().map(|one| one.to.len()).collect();
        assert_eq!(reached, [0, 1]);
    }

    #[tokio::test]
    async fn capture_waits_for_a_frame_between_two_machines() {
        let network = network(true);
        let (a, b) = (
            Machine::new(&network, "a", 1),
            Machine::new(&network, "b", 2),
        );
        let mut ping = Vec::new();
        etherparse::PacketBuilder::ethernet2(a.link.mac, b.link.mac)
            .ipv4(a.link.address.octets(), b.link.address.octets(), 64)
            .icmpv4_echo_request(1, 1)
            .write(&mut ping, b"ping")
            .unwrap();
        let filter: Filter = "icmp".parse().unwrap();
        assert!(!network.has_captured(&filter, None, None));
        let later = async {
            a.send(b.link.mac, "other").await;
            a.socket.send(&ping).await.unwrap();
        };
        tokio::join!(network.capture(&filter, Some("a"), Some("b")), later);
        assert!(network.has_captured(&filter, Some("a"), None));
        assert!(!network.has_captured(&filter, Some("b"), None));
    }

    #[tokio::test]
    async fn a_machine_can_be_attached_again_after_it_was_detached() {
        let network = network(true);
        let first = network.attach("a", 1).unwrap();
        let error = network.attach("a", 2).unwrap_err().to_string();
        assert_eq!(
            error,
            "the machine `a` is attached to the network `lan` already"
        );
        drop(first);
        network.attach("a", 1).unwrap();
        let error = network.attach("b", 254).unwrap_err().to_string();
        assert_eq!(
            error,
            "the network `lan` (10.9.0.0/24) has no address for machine 254"
        );
        let _b = network.attach("b", 2).unwrap();
        let error = network.cut(&["b"], &["z"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "the machine `z` is not attached to the network `lan`; attached: b"
        );
    }
}

//! The state of a switch: which ports a frame goes to, and when. No input or output happens here.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::capture::{Captured, Ring};
use crate::hosts::Hosts;
use crate::impairment::{Direction, Impairment};
use crate::subnet::{Mac, Subnet};

/// Length of an Ethernet header.
const HEADER: usize = 14;
/// Maximum number of hardware addresses that are learned, so that a guest cannot fill the memory of the host.
const MAX_LEARNED: usize = 4096;

/// A frame, shared by all that hold it.
pub(crate) type Frame = Arc<[u8]>;

/// A partition that [`Network::heal`](crate::Network::heal) ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutId(u64);

/// What a switch did so far, in frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames that machines sent.
    pub received: u64,
    /// Frames that machines took.
    pub delivered: u64,
    /// Frames that a machine did not take in time.
    pub overrun: u64,
}

/// A frame for a port.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) due: Instant,
    pub(crate) to: Arc<str>,
    pub(crate) frame: Frame,
}

/// One direction of traffic between groups of machines that is cut.
#[derive(Debug)]
struct Cut {
    id: CutId,
    from: Vec<String>,
    to: Vec<String>,
}

#[derive(Debug)]
struct Port {
    address: Ipv4Addr,
    impairment: Impairment,
    /// From the machine, and to it.
    out: Direction,
    into: Direction,
}

/// The state of a switch. Its ports are named after the machines.
#[derive(Debug)]
pub(crate) struct Forwarding {
    ports: BTreeMap<Arc<str>, Port>,
    learned: HashMap<Mac, Arc<str>>,
    cuts: Vec<Cut>,
    last_cut: u64,
    random: fastrand::Rng,
    pub(crate) hosts: Hosts,
    pub(crate) ring: Ring,
    pub(crate) totals: Totals,
}

impl Forwarding {
    pub(crate) fn new(hosts: Hosts, ring: Ring) -> Self {
        Self {
            ports: BTreeMap::new(),
            learned: HashMap::new(),
            cuts: Vec::new(),
            last_cut: 0,
            random: fastrand::Rng::new(),
            hosts,
            ring,
            totals: Totals::default(),
        }
    }

    pub(crate) fn add(&mut self, machine: &str, address: Ipv4Addr) -> Arc<str> {
        let name: Arc<str> = machine.into();
        let port = Port {
            address,
            impairment: Impairment::default(),
            out: Direction::default(),
            into: Direction::default(),
        };
        self.ports.insert(Arc::clone(&name), port);
        self.hosts.know(address);
        name
    }

    /// The first number of a machine whose address no port has.
    pub(crate) fn free_number(&self, subnet: Subnet) -> u32 {
        let is_free = |number: &u32| {
            let address = subnet.machine(*number);
            !self
                .ports
                .values()
                .any(|port| Some(port.address) == address)
        };
        (1..=u32::MAX).find(is_free).unwrap_or(u32::MAX)
    }

    /// Whether a machine has answered for its address. If not, returns a frame that asks it.
    pub(crate) fn probe(&mut self, machine: &str) -> Result<(), Option<Delivery>> {
        let Some((name, port)) = self.ports.get_key_value(machine) else {
            return Err(None);
        };
        if self.hosts.is_present(port.address) {
            return Ok(());
        }
        let asked = self.hosts.probe(port.address).map(|frame| Delivery {
            due: Instant::now(),
            to: Arc::clone(name),
            frame: frame.into(),
        });
        Err(asked)
    }

    pub(crate) fn remove(&mut self, machine: &str) {
        if let Some(port) = self.ports.remove(machine) {
            self.hosts.forget(port.address);
        }
        self.learned.retain(|_, port| &**port != machine);
    }

    pub(crate) fn has(&self, machine: &str) -> bool {
        self.ports.contains_key(machine)
    }

    pub(crate) fn machines(&self) -> Vec<String> {
        self.ports.keys().map(|name| name.to_string()).collect()
    }

    /// Sets the impairment of a link. Returns whether the machine is attached.
    pub(crate) fn impair(&mut self, machine: &str, how: Impairment) -> bool {
        let port = self.ports.get_mut(machine);
        port.map(|port| port.impairment = how).is_some()
    }

    /// Cuts one direction.
    pub(crate) fn cut(&mut self, from: &[&str], to: &[&str]) -> CutId {
        let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
        self.last_cut += 1;
        let id = CutId(self.last_cut);
        self.cuts.push(Cut {
            id,
            from: owned(from),
            to: owned(to),
        });
        id
    }

    pub(crate) fn heal(&mut self, id: CutId) {
        self.cuts.retain(|cut| cut.id != id);
    }

    fn is_cut(&self, from: &str, to: &str) -> bool {
        let has = |all: &[String], one: &str| all.iter().any(|name| name == one);
        self.cuts
            .iter()
            .any(|cut| has(&cut.from, from) && has(&cut.to, to))
    }

    /// A frame from a machine: captures it and returns its deliveries, and those of the answers.
    pub(crate) fn frame(&mut self, from: &Arc<str>, frame: Frame, now: Instant) -> Vec<Delivery> {
        self.totals.received += 1;
        let Some((to, source)) = addresses(&frame) else {
            return Vec::new();
        };
        if !is_group(source)
            && (self.learned.len() < MAX_LEARNED || self.learned.contains_key(&source))
        {
            self.learned.insert(source, Arc::clone(from));
        }
        let mut all = Vec::new();
        let sent = self.leave(from, frame.len(), now);
        let targets = self.targets(from, to);
        let mut reached = Vec::new();
        for at in sent {
            for target in &targets {
                let before = all.len();
                self.deliver(target, &frame, at, &mut all);
                if all.len() > before && !reached.contains(target) {
                    reached.push(Arc::clone(target));
                }
            }
            if let Some(answer) = self.hosts.answer(&frame) {
                let answer: Frame = answer.into();
                self.deliver(from, &answer, at, &mut all);
                self.capture(None, vec![Arc::clone(from)], &answer);
            }
        }
        self.capture(Some(Arc::clone(from)), reached, &frame);
        all
    }

    /// When a frame has passed the link of its sender.
    fn leave(&mut self, from: &str, bytes: usize, now: Instant) -> Vec<Instant> {
        match self.ports.get_mut(from) {
            Some(port) => port
                .out
                .pass(&port.impairment, bytes, now, &mut self.random),
            None => Vec::new(),
        }
    }

    fn targets(&self, from: &Arc<str>, to: Mac) -> Vec<Arc<str>> {
        let known = self.learned.get(&to).filter(|_| !is_group(to));
        let candidates: Vec<&Arc<str>> = match known {
            Some(port) => vec![port],
            None => self.ports.keys().collect(),
        };
        let passes = |name: &&&Arc<str>| **name != from && !self.is_cut(from, name);
        candidates
            .iter()
            .filter(passes)
            .map(|&name| Arc::clone(name))
            .collect()
    }

    fn deliver(&mut self, to: &Arc<str>, frame: &Frame, at: Instant, all: &mut Vec<Delivery>) {
        let Some(port) = self.ports.get_mut(to) else {
            return;
        };
        let due = port
            .into
            .pass(&port.impairment, frame.len(), at, &mut self.random);
        all.extend(due.into_iter().map(|due| Delivery {
            due,
            to: Arc::clone(to),
            frame: Arc::clone(frame),
        }));
    }

    fn capture(&mut self, from: Option<Arc<str>>, to: Vec<Arc<str>>, frame: &Frame) {
        let at = SystemTime::now();
        let frame = Arc::clone(frame);
        self.ring.push(Captured {
            at,
            from,
            to,
            frame,
        });
    }
}

/// Destination and source of a frame.
fn addresses(frame: &[u8]) -> Option<(Mac, Mac)> {
    let header = frame.get(..HEADER)?;
    Some((header[..6].try_into().ok()?, header[6..12].try_into().ok()?))
}

/// Whether an address is broadcast or multicast.
fn is_group(address: Mac) -> bool {
    address[0] & 1 == 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EVERYBODY: Mac = [0xff; 6];

    struct Lan {
        state: Forwarding,
        now: Instant,
    }

    impl Lan {
        fn new() -> Self {
            let hosts = Hosts::new("10.9.0.0/24".parse().unwrap(), true);
            let mut state = Forwarding::new(hosts, Ring::new(1 << 20));
            for (number, name) in (1..).zip(["a", "b", "c"]) {
                state.add(name, Ipv4Addr::new(10, 9, 0, number));
            }
            Self {
                state,
                now: Instant::now(),
            }
        }

        /// Sends a frame, and returns who gets it after how many milliseconds.
        fn send(&mut self, from: &str, to: Mac) -> Vec<(String, u128)> {
            let mut frame = [to, address(from)].concat();
            frame.extend([0x88, 0xb5, 1, 2, 3]);
            let all = self.state.frame(&from.into(), frame.into(), self.now);
            let mut all: Vec<_> = all
                .into_iter()
                .map(|one| (one.to.to_string(), (one.due - self.now).as_millis()))
                .collect();
            all.sort();
            all
        }

        fn reached(&mut self, from: &str, to: Mac) -> String {
            let all = self.send(from, to).into_iter();
            all.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
        }
    }

    fn address(name: &str) -> Mac {
        [2, 0, 0, 0, 0, name.as_bytes()[0]]
    }

    #[test]
    fn frames_to_unknown_addresses_are_flooded_until_the_address_is_learned() {
        let mut lan = Lan::new();
        assert_eq!(lan.reached("a", address("b")), "b c");
        assert_eq!(lan.reached("b", address("a")), "a");
        assert_eq!(lan.reached("a", address("b")), "b");
        assert_eq!(lan.reached("a", EVERYBODY), "b c");
        // To oneself: no frame returns.
        assert_eq!(lan.reached("a", address("a")), "");
    }

    #[test]
    fn a_removed_port_gets_no_frames_and_its_addresses_are_forgotten() {
        let mut lan = Lan::new();
        lan.reached("b", EVERYBODY);
        lan.state.remove("b");
        assert_eq!(lan.reached("a", address("b")), "c");
        assert_eq!(lan.reached("b", EVERYBODY), "");
    }

    #[test]
    fn a_cut_drops_frames_of_its_direction_until_it_is_healed() {
        let mut lan = Lan::new();
        let cut = lan.state.cut(&["a"], &["b"]);
        let other = lan.state.cut(&["b"], &["a", "c"]);
        assert_eq!(lan.reached("a", EVERYBODY), "c");
        assert_eq!(lan.reached("b", EVERYBODY), "");
        assert_eq!(lan.reached("c", EVERYBODY), "a b");
        lan.state.heal(cut);
        assert_eq!(lan.reached("a", EVERYBODY), "b c");
        assert_eq!(lan.reached("b", EVERYBODY), "");
        lan.state.heal(other);
        assert_eq!(lan.reached("b", EVERYBODY), "a c");
    }

    #[test]
    fn the_impairments_of_both_links_hold() {
        let mut lan = Lan::new();
        let delay = |ms| Impairment {
            delay: Duration::from_millis(ms),
            ..Impairment::default()
        };
        assert!(lan.state.impair("a", delay(100)) && lan.state.impair("b", delay(10)));
        assert!(!lan.state.impair("z", delay(1)));
        let all = [("b".to_owned(), 110), ("c".to_owned(), 100)];
        assert_eq!(lan.send("a", EVERYBODY), all);
        let all = [("a".to_owned(), 110), ("c".to_owned(), 10)];
        assert_eq!(lan.send("b", EVERYBODY), all);
    }

    #[test]
    fn the_capture_says_who_sent_a_frame_and_who_got_it() {
        let mut lan = Lan::new();
        lan.state.cut(&["a"], &["b"]);
        lan.reached("a", EVERYBODY);
        let all = lan.state.ring.frames();
        let to: Vec<&str> = all[0].to.iter().map(|name| &**name).collect();
        assert_eq!((all[0].from.as_deref(), to), (Some("a"), vec!["c"]));
    }

    #[test]
    fn a_guest_cannot_make_the_switch_learn_without_limit() {
        let mut lan = Lan::new();
        for number in 0..2 * MAX_LEARNED {
            let mut frame = vec![0xff; 6];
            frame.extend([2, 1]);
            frame.extend(u32::try_from(number).unwrap().to_be_bytes());
            frame.extend([0x88, 0xb5]);
            lan.state.frame(&"a".into(), frame.into(), lan.now);
        }
        assert_eq!(lan.state.learned.len(), MAX_LEARNED);
        for length in 0..HEADER {
            let short = vec![1; length];
            assert!(
                lan.state
                    .frame(&"a".into(), short.into(), lan.now)
                    .is_empty()
            );
        }
    }
}

//! Packet filter: a guest may reach its fixtures, but neither this host nor any other.
//!
//! QEMU's user network (libslirp) connects a guest with every service of this host, including loopback.
//! Its `restrict=on` does not suffice: leases then contain no router and no name server (`bootp.c`), and
//! every UDP packet is dropped. So each packet of the guest passes through this process (a
//! `filter-redirector`), which drops packets to other destinations. A TCP connection is refused at once:
//! if SYN and FIN are set, libslirp answers with a reset (`tcp_input`).

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::network::names::Resolver;
use crate::network::relay::read;

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

const DHCP_SERVER: u16 = 67;
const DHCPV6_SERVER: u16 = 547;

/// TCP flags.
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
/// FIN, SYN, RST, ACK, URG. If only SYN of these is set, libslirp opens a connection.
const FLAGS: u8 = 0x37;

/// Length of an Ethernet header, and of the length field that QEMU puts before it.
const ETHERNET: usize = 14;
const PREFIX: usize = 4;

/// The filter of one network.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    /// Whether all packets pass, except questions that the resolver answers.
    is_open: bool,
    /// The address of this host in the network; the name server has the next address.
    host: Ipv4Addr,
    /// TCP services that QEMU forwards to a fixture.
    fixtures: Vec<(Ipv4Addr, u16)>,
    /// UDP ports of fixtures on this host.
    ports: Mutex<Vec<u16>>,
    /// Answers for the name server, if it knows names.
    resolver: Mutex<Option<Resolver>>,
}

impl Gate {
    /// A gate that only lets the guest reach its fixtures.
    pub(crate) fn new(host: Ipv4Addr, fixtures: Vec<(Ipv4Addr, u16)>) -> Self {
        Self::with(false, host, fixtures)
    }

    /// A gate that all packets pass, for a network whose name server knows the names of other machines.
    pub(crate) fn open(host: Ipv4Addr) -> Self {
        Self::with(true, host, Vec::new())
    }

    fn with(is_open: bool, host: Ipv4Addr, fixtures: Vec<(Ipv4Addr, u16)>) -> Self {
        Self(Arc::new(Rules {
            is_open,
            host,
            fixtures,
            ports: Mutex::default(),
            resolver: Mutex::default(),
        }))
    }

    /// Lets the guest reach a UDP port of this host.
    pub(crate) fn open_port(&self, port: u16) {
        let ports = &self.0.ports;
        ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(port);
    }

    /// Answers questions to the name server from now on.
    pub(crate) fn resolve(&self, resolver: Resolver) {
        let known = &self.0.resolver;
        *known.lock().unwrap_or_else(PoisonError::into_inner) = Some(resolver);
    }

    /// Carries packets from QEMU and back to it until QEMU exits.
    pub(crate) async fn carry(
        self,
        mut from: impl AsyncRead + Unpin,
        mut back: impl AsyncWrite + Unpin,
    ) {
        while let Ok(mut packet) = read(&mut from).await {
            let passes = self.0.pass(&mut packet[PREFIX..]);
            if passes && back.write_all(&packet).await.is_err() {
                return;
            }
        }
    }
}

impl Rules {
    /// Whether a frame of the guest passes. Changes the first segment of a forbidden connection so that it
    /// is refused.
    fn pass(&self, frame: &mut [u8]) -> bool {
        if self.is_answered(frame) {
            return false;
        }
        if self.is_open {
            return true;
        }
        let Some((header, packet)) = frame.split_at_mut_checked(ETHERNET) else {
            return false;
        };
        match word(header, ETHERNET - 2) {
            Some(ARP) => true,
            Some(IPV4) => self.ipv4(packet),
            Some(IPV6) => ipv6(packet),
            _ => false,
        }
    }

    fn ipv4(&self, packet: &mut [u8]) -> bool {
        let (Some(&first), Some(fragment)) = (packet.first(), word(packet, 6)) else {
            return false;
        };
        let length = usize::from(first & 0x0f) * 4;
        // Only the first fragment has ports, and libslirp reassembles fragments.
        if length < 20 || packet.len() < length || fragment & 0x3fff != 0 {
            return false;
        }
        let (header, payload) = packet.split_at_mut(length);
        let to = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
        let Some(port) = word(payload, 2) else {
            return false;
        };
        match header[9] {
            TCP => self.fixtures.contains(&(to, port)) || refuse(payload),
            UDP if port == DHCP_SERVER => to == self.host || to.is_broadcast(),
            UDP => to == self.host && self.opened(port),
            ICMP => to == self.host || u32::from(to) == u32::from(self.host) + 1,
            _ => false,
        }
    }

    /// Whether the resolver answers a frame. The name server has the address after this host's.
    fn is_answered(&self, frame: &[u8]) -> bool {
        let resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Ipv4Addr::from(u32::from(self.host).wrapping_add(1));
        let answers = |resolver: &Resolver| resolver.answer(frame, server);
        resolver.as_ref().is_some_and(answers)
    }

    fn opened(&self, port: u16) -> bool {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.contains(&port)
    }
}

/// Passes neighbour discovery, router discovery and DHCPv6; no fixture uses IPv6.
fn ipv6(packet: &mut [u8]) -> bool {
    let Some((header, payload)) = packet.split_at_mut_checked(40) else {
        return false;
    };
    let multicast = header[24] == 0xff;
    // Link-local and site-local addresses, which libslirp answers itself.
    let near = header[24] == 0xfe && header[25] & 0x80 != 0;
    match header[6] {
        TCP => refuse(payload),
        UDP => multicast && word(payload, 2) == Some(DHCPV6_SERVER),
        ICMPV6 => multicast || near,
        _ => false,
    }
}

/// Makes libslirp refuse a new connection of the guest; segments of accepted connections pass.
fn refuse(segment: &mut [u8]) -> bool {
    let (Some(flags), Some(sum)) = (word(segment, 12), word(segment, 16)) else {
        return false;
    };
    if flags.to_be_bytes()[1] & FLAGS == SYN {
        let changed = flags | u16::from(FIN);
        segment[12..14].copy_from_slice(&changed.to_be_bytes());
        segment[16..18].copy_from_slice(&sum_with(sum, flags, changed).to_be_bytes());
    }
    true
}

/// The checksum of a packet after a change of one word (RFC 1624).
fn sum_with(sum: u16, old: u16, new: u16) -> u16 {
    let mut sum = u32::from(!sum) + u32::from(!old) + u32::from(new);
    while sum > u32::from(u16::MAX) {
        sum = (sum & u32::from(u16::MAX)) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
    const REGISTRY: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 2, 100), 5000);

    fn passes(frame: &mut [u8]) -> bool {
        let gate = Gate::new(HOST, vec![REGISTRY]);
        gate.open_port(40_123);
        gate.0.pass(frame)
    }

    fn ipv4(protocol: u8, to: Ipv4Addr, port: u16, flags: u8) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET + 40];
        frame[12..14].copy_from_slice(&IPV4.to_be_bytes());
        frame[14] = 0x45;
        frame[14 + 9] = protocol;
        frame[14 + 16..14 + 20].copy_from_slice(&to.octets());
        frame[34 + 2..34 + 4].copy_from_slice(&port.to_be_bytes());
        frame[34 + 13] = flags;
        frame
    }

    fn ipv6(protocol: u8, to: u16, port: u16, flags: u8) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET + 60];
        frame[12..14].copy_from_slice(&IPV6.to_be_bytes());
        frame[14 + 6] = protocol;
        frame[14 + 24..14 + 26].copy_from_slice(&to.to_be_bytes());
        frame[54 + 2..54 + 4].copy_from_slice(&port.to_be_bytes());
        frame[54 + 13] = flags;
        frame
    }

    #[test]
    fn gate_passes_dhcp_icmp_and_fixtures() {
        let anybody = Ipv4Addr::BROADCAST;
        let far = Ipv4Addr::new(192, 0, 2, 1);
        for (udp_to, port, wanted) in [
            (anybody, 67, true),
            (HOST, 67, true),
            (far, 67, false),
            (HOST, 40_123, true),
            (far, 40_123, false),
            (HOST, 53, false),
            (Ipv4Addr::new(10, 0, 2, 3), 53, false),
        ] {
            assert_eq!(passes(&mut ipv4(UDP, udp_to, port, 0)), wanted, "{udp_to}");
        }
        assert!(passes(&mut ipv4(ICMP, HOST, 0, 0)));
        assert!(!passes(&mut ipv4(ICMP, far, 0, 0)));
        assert!(!passes(&mut ipv4(47, HOST, 0, 0)));
        assert!(passes(&mut ipv6(ICMPV6, 0xff02, 0, 0)));
        assert!(!passes(&mut ipv6(ICMPV6, 0x2001, 0, 0)));
        assert!(passes(&mut ipv6(UDP, 0xff02, 547, 0)));
        assert!(!passes(&mut ipv6(UDP, 0xfec0, 40_123, 0)));
        let mut fragment = ipv4(UDP, HOST, 40_123, 0);
        fragment[14 + 6] = 0x20;
        assert!(!passes(&mut fragment));
    }

    #[test]
    fn open_gate_passes_everything_unchanged() {
        let far = Ipv4Addr::new(192, 0, 2, 1);
        for mut frame in [
            ipv4(TCP, far, 22, SYN),
            ipv4(UDP, far, 53, 0),
            ipv6(TCP, 0x2001, 22, SYN),
            vec![0; 3],
        ] {
            let before = frame.clone();
            assert!(Gate::open(HOST).0.pass(&mut frame));
            assert_eq!(frame, before);
        }
    }

    #[test]
    fn gate_refuses_connections_that_the_guest_begins() {
        let flags = |mut frame: Vec<u8>, at: usize| {
            assert!(passes(&mut frame));
            frame[at]
        };
        assert_eq!(flags(ipv4(TCP, HOST, 22, SYN), 47), SYN | FIN);
        assert_eq!(flags(ipv6(TCP, 0xfec0, 22, SYN), 67), SYN | FIN);
        // An accepted connection, and the registry.
        assert_eq!(flags(ipv4(TCP, HOST, 22, SYN | 0x10), 47), SYN | 0x10);
        assert_eq!(flags(ipv4(TCP, REGISTRY.0, REGISTRY.1, SYN), 47), SYN);
        assert_eq!(
            flags(ipv4(TCP, REGISTRY.0, 22, SYN | 0xc0), 47),
            SYN | FIN | 0xc0
        );
    }

    #[test]
    fn checksum_stays_valid_when_a_flag_is_added() {
        let sum = |words: &[u16]| {
            let sum: u32 = words.iter().map(|&word| u32::from(word)).sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            !((sum & 0xffff) + (sum >> 16)) as u16
        };
        for other in [0, 1, 0x5002, 0xfffe, 0xffff] {
            let before = sum(&[0x5002, other, 0x1234]);
            assert_eq!(
                sum_with(before, 0x5002, 0x5003),
                sum(&[0x5003, other, 0x1234])
            );
        }
    }

    #[test]
    fn gate_drops_truncated_packets() {
        for whole in [
            ipv4(TCP, HOST, 22, SYN),
            ipv4(UDP, HOST, 67, 0),
            ipv6(TCP, 0xfec0, 22, SYN),
        ] {
            for length in 0..whole.len() {
                let passed = passes(&mut whole[..length].to_vec());
                assert!(!passed || length >= 34 + 4, "{length}");
            }
        }
    }
}

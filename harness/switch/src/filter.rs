//! Expressions that select frames: a part of the language of tcpdump (pcap-filter(7)).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// UDP port of VXLAN in Linux and flannel, and the port of RFC 7348.
const VXLAN_PORTS: [u16; 2] = [8472, 4789];
/// Length of a VXLAN header (RFC 7348, 5).
const VXLAN_HEADER: usize = 8;

/// An expression such as `udp port 8472` or `vxlan 1 and icmp`: conditions that all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    text: String,
    conditions: Vec<Condition>,
}

/// Why a text is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{word}` is not a condition of a capture filter; hint: use arp, ip, ip6, icmp, icmp6, tcp, udp, \
     port N, tcp port N, udp port N, host ADDRESS, src ADDRESS, dst ADDRESS, vxlan [VNI], joined by `and`"
)]
pub struct FilterError {
    word: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Arp,
    Ip,
    Ip6,
    Icmp,
    Icmp6,
    Tcp,
    Udp,
    Port(u16),
    Host(IpAddr),
    Source(IpAddr),
    Destination(IpAddr),
    /// The following conditions are about the frame inside.
    Vxlan(Option<u32>),
}

impl Filter {
    /// Whether a frame fulfils all conditions.
    pub fn matches(&self, frame: &[u8]) -> bool {
        matches(&self.conditions, frame)
    }
}

fn matches(conditions: &[Condition], frame: &[u8]) -> bool {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        return false;
    };
    for (number, condition) in conditions.iter().enumerate() {
        if let Condition::Vxlan(network) = condition {
            let inner = inner(&packet, *network);
            return inner.is_some_and(|frame| matches(&conditions[number + 1..], frame));
        }
        if !condition.holds(&packet) {
            return false;
        }
    }
    true
}

/// The frame in a VXLAN packet.
fn inner<'a>(packet: &SlicedPacket<'a>, network: Option<u32>) -> Option<&'a [u8]> {
    let Some(TransportSlice::Udp(udp)) = &packet.transport else {
        return None;
    };
    let header = udp.payload().get(..VXLAN_HEADER)?;
    let found = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    let matches = VXLAN_PORTS.contains(&udp.destination_port())
        && network.is_none_or(|network| network == found);
    matches.then(|| &udp.payload()[VXLAN_HEADER..])
}

impl Condition {
    fn holds(&self, packet: &SlicedPacket<'_>) -> bool {
        let (net, transport) = (&packet.net, &packet.transport);
        match self {
            Self::Arp => matches!(net, Some(NetSlice::Arp(_))),
            Self::Ip => matches!(net, Some(NetSlice::Ipv4(_))),
            Self::Ip6 => matches!(net, Some(NetSlice::Ipv6(_))),
            Self::Icmp => matches!(transport, Some(TransportSlice::Icmpv4(_))),
            Self::Icmp6 => matches!(transport, Some(TransportSlice::Icmpv6(_))),
            Self::Tcp => matches!(transport, Some(TransportSlice::Tcp(_))),
            Self::Udp => matches!(transport, Some(TransportSlice::Udp(_))),
            Self::Port(port) => ports(packet).is_some_and(|ports| ports.contains(port)),
            Self::Host(address) => addresses(packet).is_some_and(|all| all.contains(address)),
            Self::Source(address) => addresses(packet).is_some_and(|all| all[0] == *address),
            Self::Destination(address) => addresses(packet).is_some_and(|all| all[1] == *address),
            Self::Vxlan(network) => inner(packet, *network).is_some(),
        }
    }
}

fn ports(packet: &SlicedPacket<'_>) -> Option<[u16; 2]> {
    match packet.transport.as_ref()? {
        TransportSlice::Tcp(tcp) => Some([tcp.source_port(), tcp.destination_port()]),
        TransportSlice::Udp(udp) => Some([udp.source_port(), udp.destination_port()]),
        _ => None,
    }
}

/// Source and destination.
fn addresses(packet: &SlicedPacket<'_>) -> Option<[IpAddr; 2]> {
    match packet.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some([
                header.source_addr().into(),
                header.destination_addr().into(),
            ])
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some([
                header.source_addr().into(),
                header.destination_addr().into(),
            ])
        }
        NetSlice::Arp(_) => None,
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut conditions = Vec::new();
        for part in text.split(" and ") {
            let words: Vec<&str> = part.split_whitespace().collect();
            conditions.extend(parse(&words).ok_or_else(|| FilterError {
                word: part.trim().to_owned(),
            })?);
        }
        let text = text.to_owned();
        Ok(Self { text, conditions })
    }
}

fn parse(words: &[&str]) -> Option<Vec<Condition>> {
    let one = |condition| Some(vec![condition]);
    match words {
        ["arp"] => one(Condition::Arp),
        ["ip"] => one(Condition::Ip),
        ["ip6"] => one(Condition::Ip6),
        ["icmp"] => one(Condition::Icmp),
        ["icmp6"] => one(Condition::Icmp6),
        ["tcp"] => one(Condition::Tcp),
        ["udp"] => one(Condition::Udp),
        ["port", port] => one(Condition::Port(port.parse().ok()?)),
        ["tcp", "port", port] => Some(vec![Condition::Tcp, Condition::Port(port.parse().ok()?)]),
        ["udp", "port", port] => Some(vec![Condition::Udp, Condition::Port(port.parse().ok()?)]),
        ["host", address] => one(Condition::Host(address.parse().ok()?)),
        ["src", address] => one(Condition::Source(address.parse().ok()?)),
        ["dst", address] => one(Condition::Destination(address.parse().ok()?)),
        ["vxlan"] => one(Condition::Vxlan(None)),
        ["vxlan", network] => one(Condition::Vxlan(Some(network.parse().ok()?))),
        _ => None,
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn ping(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(from, to, 64)
            .icmpv4_echo_request(1, 1)
            .write(&mut frame, b"ping")
            .unwrap();
        frame
    }

    /// A ping between containers, carried by VXLAN network 1.
    fn carried() -> Vec<u8> {
        let mut payload = vec![8, 0, 0, 0, 0, 0, 1, 0];
        payload.extend(ping([10, 244, 1, 2], [10, 244, 2, 2]));
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 9, 0, 1], [10, 9, 0, 2], 64)
            .udp(40_000, 8472)
            .write(&mut frame, &payload)
            .unwrap();
        frame
    }

    #[test]
    fn conditions_select_frames() {
        let frame = carried();
        for (text, wanted) in [
            ("udp port 8472", true),
            ("port 8472", true),
            ("tcp port 8472", false),
            ("udp port 53", false),
            ("ip and udp", true),
            ("ip6", false),
            ("arp", false),
            ("icmp", false),
            ("host 10.9.0.2", true),
            ("src 10.9.0.2", false),
            ("dst 10.9.0.2 and udp", true),
            ("vxlan", true),
            ("vxlan 2", false),
            ("vxlan 1 and icmp", true),
            ("vxlan and src 10.244.1.2 and dst 10.244.2.2", true),
            ("vxlan and src 10.9.0.1", false),
            ("host 10.244.1.2", false),
        ] {
            let filter: Filter = text.parse().unwrap();
            assert_eq!(filter.matches(&frame), wanted, "{text}");
        }
        let icmp: Filter = "icmp".parse().unwrap();
        assert!(icmp.matches(&ping([1; 4], [2; 4])));
    }

    #[test]
    fn truncated_frames_match_nothing_and_do_not_panic() {
        let frame = carried();
        let filter: Filter = "vxlan 1 and icmp".parse().unwrap();
        for length in 0..frame.len() - 1 {
            assert!(!filter.matches(&frame[..length]), "{length}");
        }
    }

    #[test]
    fn a_bad_filter_names_the_condition() {
        for (text, word) in [
            ("udp prot 53", "udp prot 53"),
            ("udp and port http", "port http"),
            ("", ""),
            ("udp port 70000", "udp port 70000"),
        ] {
            let error = text.parse::<Filter>().unwrap_err();
            assert_eq!(error.word, word);
        }
        let error = "tpc".parse::<Filter>().unwrap_err().to_string();
        assert!(
            error.contains("`tpc`") && error.contains("udp port N"),
            "{error}"
        );
    }
}

//! The host of the network itself: a DHCP server that answers ARP and ping.
//!
//! Messages are read by hand: `dhcproto` brings more than forty crates, and its `Message::chaddr` panics when
//! a guest states a hardware address of more than 16 bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Icmpv4Type, NetSlice, PacketBuilder,
    SlicedPacket, TransportSlice,
};

use crate::subnet::{Mac, Subnet, mac};

/// UDP ports of DHCP (RFC 2131, 4.1).
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Length of the fixed part of a message (RFC 2131, 2), and the value that follows it (RFC 2132, 2).
const FIXED: usize = 236;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// Offsets in the fixed part: flags, the client's present address, its new one.
const FLAGS: usize = 10;
const CIADDR: usize = 12;
const YIADDR: usize = 16;
const CHADDR: std::ops::Range<usize> = 28..34;

/// Options (RFC 2132).
const SUBNET_MASK: u8 = 1;
const REQUESTED_ADDRESS: u8 = 50;
const LEASE_TIME: u8 = 51;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
const END: u8 = 255;

/// Message types (RFC 2132, 9.6).
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
const INFORM: u8 = 8;

/// A lease lasts longer than any trial.
const LEASE_SECONDS: u32 = 24 * 3600;

/// The DHCP server of a network.
#[derive(Debug)]
pub(crate) struct Hosts {
    subnet: Subnet,
    /// Whether it gives addresses.
    dhcp: bool,
    addresses: BTreeMap<Mac, Ipv4Addr>,
    /// The addresses that answered a probe.
    present: BTreeSet<Ipv4Addr>,
}

impl Hosts {
    pub(crate) fn new(subnet: Subnet, dhcp: bool) -> Self {
        Self {
            subnet,
            dhcp,
            addresses: BTreeMap::new(),
            present: BTreeSet::new(),
        }
    }

    /// Gives this address to the machine with the hardware address that belongs to it.
    pub(crate) fn know(&mut self, address: Ipv4Addr) {
        self.addresses.insert(mac(address), address);
    }

    /// The ARP request for an address.
    pub(crate) fn probe(&self, address: Ipv4Addr) -> Option<Vec<u8>> {
        let to = (&[0; 6][..], &address.octets()[..]);
        self.arp_packet(ArpOperation::REQUEST, to, [0xff; 6])
    }

    /// Whether a machine answered for an address since it was forgotten.
    pub(crate) fn is_present(&self, address: Ipv4Addr) -> bool {
        self.present.contains(&address)
    }

    /// Forgets that an address answered.
    pub(crate) fn forget(&mut self, address: Ipv4Addr) {
        self.present.remove(&address);
    }

    /// The answer to a frame, if it asks this host.
    pub(crate) fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        if !self.dhcp {
            return None;
        }
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let source: Mac = frame.get(6..12)?.try_into().ok()?;
        match (&packet.net, &packet.transport) {
            (Some(NetSlice::Arp(arp)), _) => self.arp(&arp.to_packet(), source),
            (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) => {
                let (from, to) = (ip.header().source_addr(), ip.header().destination_addr());
                let Icmpv4Type::EchoRequest(echo) = icmp.header().icmp_type else {
                    return None;
                };
                let reply = self.ip(source, from).icmpv4_echo_reply(echo.id, echo.seq);
                (to == self.subnet.server()).then(|| written(reply, icmp.payload()))
            }
            (Some(NetSlice::Ipv4(_)), Some(TransportSlice::Udp(udp)))
                if udp.destination_port() == SERVER_PORT =>
            {
                self.dhcp(udp.payload(), source)
            }
            _ => None,
        }
    }

    fn arp(&mut self, packet: &ArpPacket, source: Mac) -> Option<Vec<u8>> {
        let server = self.subnet.server();
        if packet.target_protocol_addr() != server.octets() {
            return None;
        }
        if packet.operation == ArpOperation::REPLY {
            self.present.extend(ip(packet.sender_protocol_addr()));
        }
        if packet.operation != ArpOperation::REQUEST {
            return None;
        }
        let to = (packet.sender_hw_addr(), packet.sender_protocol_addr());
        self.arp_packet(ArpOperation::REPLY, to, source)
    }

    /// An ARP packet about `to` (hardware address, address), sent to `receiver`.
    fn arp_packet(
        &self,
        operation: ArpOperation,
        to: (&[u8], &[u8]),
        receiver: Mac,
    ) -> Option<Vec<u8>> {
        let server = self.subnet.server();
        let packet = ArpPacket::new(
            ArpHardwareId::ETHERNET,
            EtherType::IPV4,
            operation,
            &mac(server),
            &server.octets(),
            to.0,
            to.1,
        );
        let builder = PacketBuilder::ethernet2(mac(server), receiver).arp(packet.ok()?);
        let mut frame = Vec::new();
        builder.write(&mut frame).ok()?;
        Some(frame)
    }

    /// Begins a packet to a machine.
    fn ip(
        &self,
        to: Mac,
        address: Ipv4Addr,
    ) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
        let server = self.subnet.server();
        PacketBuilder::ethernet2(mac(server), to).ipv4(server.octets(), address.octets(), 64)
    }

    fn dhcp(&self, message: &[u8], source: Mac) -> Option<Vec<u8>> {
        let (kind, requested, server) = read(message)?;
        if server.is_some_and(|server| server != self.subnet.server()) {
            // Another server is asked.
            return None;
        }
        let address = *self.addresses.get(&source)?;
        let present = ip(&message[CIADDR..CIADDR + 4])?;
        let wanted = requested.unwrap_or(if present.is_unspecified() {
            address
        } else {
            present
        });
        let kind = match kind {
            DISCOVER => OFFER,
            REQUEST if wanted == address => ACK,
            REQUEST => NAK,
            INFORM => ACK,
            _ => return None,
        };
        let reply = self.reply(message, kind, address);
        // A client without an address gets a broadcast, unless it can take a unicast (RFC 2131, 4.1).
        let broadcast = kind == NAK || message[FLAGS] & 0x80 != 0;
        let (to, at) = if broadcast {
            ([0xff; 6], Ipv4Addr::BROADCAST)
        } else {
            (source, address)
        };
        Some(written(
            self.ip(to, at).udp(SERVER_PORT, CLIENT_PORT),
            &reply,
        ))
    }

    fn reply(&self, asked: &[u8], kind: u8, address: Ipv4Addr) -> Vec<u8> {
        let server = self.subnet.server().octets();
        let mut reply = vec![0; FIXED];
        // BOOTREPLY, Ethernet, 6 bytes; the transaction, the flags and the client stay.
        reply[..4].copy_from_slice(&[2, 1, 6, 0]);
        reply[4..8].copy_from_slice(&asked[4..8]);
        reply[FLAGS..FLAGS + 2].copy_from_slice(&asked[FLAGS..FLAGS + 2]);
        reply[CHADDR].copy_from_slice(&asked[CHADDR]);
        if kind != NAK {
            reply[YIADDR..YIADDR + 4].copy_from_slice(&address.octets());
        }
        reply.extend(MAGIC);
        let mut option = |code: u8, value: &[u8]| {
            let length = u8::try_from(value.len()).unwrap_or_default();
            reply.extend([code, length]);
            reply.extend(value);
        };
        option(MESSAGE_TYPE, &[kind]);
        option(SERVER, &server);
        if kind != NAK {
            option(LEASE_TIME, &LEASE_SECONDS.to_be_bytes());
            option(SUBNET_MASK, &self.subnet.mask().octets());
        }
        reply.push(END);
        reply
    }
}

/// The type of a request, the address that it asks for, and the server that it names.
fn read(message: &[u8]) -> Option<(u8, Option<Ipv4Addr>, Option<Ipv4Addr>)> {
    let magic = message.get(FIXED..FIXED + MAGIC.len())?;
    // BOOTREQUEST.
    if message[0] != 1 || magic != MAGIC {
        return None;
    }
    let (mut kind, mut requested, mut server) = (None, None, None);
    let mut rest = &message[FIXED + MAGIC.len()..];
    while let Some((&code, after)) = rest.split_first() {
        match code {
            0 => rest = after,
            END => break,
            _ => {
                let (&length, after) = after.split_first()?;
                let (value, after) = after.split_at_checked(length.into())?;
                match code {
                    MESSAGE_TYPE => kind = value.first().copied(),
                    REQUESTED_ADDRESS => requested = ip(value),
                    SERVER => server = ip(value),
                    _ => {}
                }
                rest = after;
            }
        }
    }
    Some((kind?, requested, server))
}

fn ip(bytes: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    Some(bytes.into())
}

/// A packet with its payload.
trait Payload {
    fn write_to(self, frame: &mut Vec<u8>, payload: &[u8]) -> bool;
}

impl Payload for etherparse::PacketBuilderStep<etherparse::UdpHeader> {
    fn write_to(self, frame: &mut Vec<u8>, payload: &[u8]) -> bool {
        self.write(frame, payload).is_ok()
    }
}

impl Payload for etherparse::PacketBuilderStep<etherparse::Icmpv4Header> {
    fn write_to(self, frame: &mut Vec<u8>, payload: &[u8]) -> bool {
        self.write(frame, payload).is_ok()
    }
}

/// The frame; empty if the payload is too long for a packet, which no answer of this host is.
fn written(builder: impl Payload, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    if !builder.write_to(&mut frame, payload) {
        frame.clear();
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
    const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 254);

    fn hosts() -> Hosts {
        let mut hosts = Hosts::new("10.9.0.0/24".parse().unwrap(), true);
        hosts.know(ADDRESS);
        hosts
    }

    fn message(options: &[u8], flags: u8) -> Vec<u8> {
        let mut message = vec![0; FIXED];
        message[0] = 1;
        message[4..8].copy_from_slice(b"xact");
        message[FLAGS] = flags;
        message[CHADDR].copy_from_slice(&mac(ADDRESS));
        message.extend(MAGIC);
        message.extend(options);
        message.push(END);
        message
    }

    fn frame(from: Ipv4Addr, message: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(mac(from), [0xff; 6])
            .ipv4([0; 4], [255; 4], 64)
            .udp(CLIENT_PORT, SERVER_PORT)
            .write(&mut frame, message)
            .unwrap();
        frame
    }

    /// The destination, the type and the address of the answer.
    fn ask(hosts: &mut Hosts, options: &[u8], flags: u8) -> Option<(Ipv4Addr, u8, Ipv4Addr)> {
        let answer = hosts.answer(&frame(ADDRESS, &message(options, flags)))?;
        let packet = SlicedPacket::from_ethernet(&answer).unwrap();
        let Some(NetSlice::Ipv4(header)) = &packet.net else {
            panic!("{packet:?}");
        };
        let Some(TransportSlice::Udp(udp)) = &packet.transport else {
            panic!("{packet:?}");
        };
        assert_eq!(header.header().source_addr(), SERVER_ADDRESS);
        assert_eq!((udp.source_port(), udp.destination_port()), (67, 68));
        let reply = udp.payload();
        assert_eq!((reply[0], &reply[4..8]), (2, &b"xact"[..]));
        let to = header.header().destination_addr();
        Some((
            to,
            reply[FIXED + 6],
            ip(&reply[YIADDR..YIADDR + 4]).unwrap(),
        ))
    }

    #[test]
    fn each_machine_gets_its_own_address() {
        let mut hosts = hosts();
        assert_eq!(
            ask(&mut hosts, &[53, 1, DISCOVER], 0),
            Some((ADDRESS, OFFER, ADDRESS))
        );
        let wanted = [53, 1, REQUEST, 50, 4, 10, 9, 0, 1, 54, 4, 10, 9, 0, 254];
        assert_eq!(ask(&mut hosts, &wanted, 0), Some((ADDRESS, ACK, ADDRESS)));
        let broadcast = Ipv4Addr::BROADCAST;
        assert_eq!(
            ask(&mut hosts, &wanted, 0x80),
            Some((broadcast, ACK, ADDRESS))
        );
    }

    #[test]
    fn another_address_is_refused_and_another_server_is_left_alone() {
        let mut hosts = hosts();
        let other = [53, 1, REQUEST, 50, 4, 10, 9, 0, 7];
        let refused = Some((Ipv4Addr::BROADCAST, NAK, Ipv4Addr::UNSPECIFIED));
        assert_eq!(ask(&mut hosts, &other, 0), refused);
        assert_eq!(
            ask(&mut hosts, &[53, 1, REQUEST, 54, 4, 10, 9, 0, 9], 0),
            None
        );
        // A release, and a machine that is not attached.
        assert_eq!(ask(&mut hosts, &[53, 1, 7], 0), None);
        let stranger = frame(Ipv4Addr::new(10, 9, 0, 9), &message(&[53, 1, DISCOVER], 0));
        assert_eq!(hosts.answer(&stranger), None);
    }

    #[test]
    fn the_server_answers_arp_and_ping() {
        let mut hosts = hosts();
        let asked = |address: [u8; 4]| {
            ArpPacket::new(
                ArpHardwareId::ETHERNET,
                EtherType::IPV4,
                ArpOperation::REQUEST,
                &mac(ADDRESS),
                &ADDRESS.octets(),
                &[0; 6],
                &address,
            )
            .unwrap()
        };
        let mut arp = |address: Ipv4Addr| {
            let mut frame = Vec::new();
            let begin = PacketBuilder::ethernet2(mac(ADDRESS), [0xff; 6]);
            begin
                .arp(asked(address.octets()))
                .write(&mut frame)
                .unwrap();
            hosts.answer(&frame)
        };
        let answer = arp(SERVER_ADDRESS).unwrap();
        assert_eq!(answer[..6], mac(ADDRESS));
        assert_eq!(answer[22..28], mac(SERVER_ADDRESS));
        assert_eq!(arp(ADDRESS), None);

        let mut ping = Vec::new();
        PacketBuilder::ethernet2(mac(ADDRESS), mac(SERVER_ADDRESS))
            .ipv4(ADDRESS.octets(), SERVER_ADDRESS.octets(), 64)
            .icmpv4_echo_request(7, 1)
            .write(&mut ping, b"hello")
            .unwrap();
        let answer = hosts.answer(&ping).unwrap();
        assert!(answer.ends_with(b"hello"));
    }

    #[test]
    fn a_machine_is_present_when_it_has_answered_a_probe() {
        let mut hosts = hosts();
        let probe = hosts.probe(ADDRESS).unwrap();
        assert_eq!(
            (&probe[..6], &probe[38..42]),
            (&[0xff; 6][..], &ADDRESS.octets()[..])
        );
        assert!(!hosts.is_present(ADDRESS));
        let answer = ArpPacket::new(
            ArpHardwareId::ETHERNET,
            EtherType::IPV4,
            ArpOperation::REPLY,
            &mac(ADDRESS),
            &ADDRESS.octets(),
            &mac(SERVER_ADDRESS),
            &SERVER_ADDRESS.octets(),
        );
        let mut frame = Vec::new();
        let begin = PacketBuilder::ethernet2(mac(ADDRESS), mac(SERVER_ADDRESS));
        begin.arp(answer.unwrap()).write(&mut frame).unwrap();
        assert_eq!(hosts.answer(&frame), None);
        assert!(hosts.is_present(ADDRESS));
        hosts.forget(ADDRESS);
        assert!(!hosts.is_present(ADDRESS));
    }

    #[test]
    fn truncated_messages_are_ignored() {
        let mut hosts = hosts();
        let whole = frame(ADDRESS, &message(&[53, 1, DISCOVER, 50, 4, 10, 9, 0, 1], 0));
        for length in 0..whole.len() {
            // An answer to a message whose end is missing is fine; a panic is not.
            let _ = hosts.answer(&whole[..length]);
        }
        let bad = message(&[53, 1, DISCOVER, 50, 200, 1], 0);
        assert_eq!(hosts.answer(&frame(ADDRESS, &bad)), None);
    }

    #[test]
    fn a_network_without_dhcp_answers_nothing() {
        let mut hosts = Hosts::new("10.9.0.0/24".parse().unwrap(), false);
        hosts.know(ADDRESS);
        assert_eq!(ask(&mut hosts, &[53, 1, DISCOVER], 0), None);
    }
}

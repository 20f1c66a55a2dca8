//! The host of the network itself: it gives addresses by DHCP, and answers ARP and ping.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Icmpv4Type, NetSlice, PacketBuilder,
    SlicedPacket, TransportSlice,
};

use crate::dhcp::{self, CLIENT_PORT, SERVER_PORT};
use crate::subnet::{Mac, Subnet, mac};

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
                if to != self.subnet.server() {
                    return None;
                }
                let mut frame = Vec::new();
                let reply = self.ip(source, from).icmpv4_echo_reply(echo.id, echo.seq);
                reply.write(&mut frame, icmp.payload()).ok()?;
                Some(frame)
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
            let address = <[u8; 4]>::try_from(packet.sender_protocol_addr());
            self.present.extend(address.map(Ipv4Addr::from));
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
        let address = *self.addresses.get(&source)?;
        let answer = dhcp::answer(message, address, &self.subnet)?;
        let (to, at) = if answer.is_broadcast {
            ([0xff; 6], Ipv4Addr::BROADCAST)
        } else {
            (source, address)
        };
        let mut frame = Vec::new();
        let packet = self.ip(to, at).udp(SERVER_PORT, CLIENT_PORT);
        packet.write(&mut frame, &answer.message).ok()?;
        Some(frame)
    }
}

#[cfg(test)]
mod tests;

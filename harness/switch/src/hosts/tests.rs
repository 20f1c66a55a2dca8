use super::*;
use crate::dhcp::*;

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

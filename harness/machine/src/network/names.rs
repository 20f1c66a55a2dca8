//! Answers the guest's name server (DNS) for the first network: QEMU's own name server, the address after
//! this host's, asks the host of the harness, which knows no other machine of a cluster. In a network that
//! is not filtered, questions about other names still go to QEMU's name server.
//!
//! The questions pass the [gate](super::gate); the answers are put into the network by a second
//! `filter-redirector`, on the queue of packets that go to the guest.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::network::socket::Socket;
use crate::services::name_server::{self, Names};

/// UDP port of DNS (RFC 1035, 4.2.1).
const PORT: u16 = 53;
/// The name server that router advertisements name (`vnameserver_addr6` in libslirp's `slirp.c`).
const SERVER_IPV6: Ipv6Addr = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 3);

/// What a guest can ask, and the way of the answers.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    names: Names,
    others: OtherNames,
    answers: mpsc::UnboundedSender<Vec<u8>>,
}

/// What a resolver does with questions about names that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherNames {
    /// It answers that they do not exist.
    DoNotExist,
    /// It leaves them to QEMU's name server.
    AreAskedQemu,
}

impl Resolver {
    /// A resolver, and its answers.
    pub(crate) fn new(
        names: Names,
        others: OtherNames,
    ) -> (Self, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (answers, receiver) = mpsc::unbounded_channel();
        let resolver = Self {
            names,
            others,
            answers,
        };
        (resolver, receiver)
    }

    /// Answers a frame that asks `server`; returns whether it does.
    pub(crate) fn answer(&self, frame: &[u8], server: Ipv4Addr) -> bool {
        let Some(answer) = self.reply(frame, server) else {
            return false;
        };
        // The channel is closed when the machine has ended.
        let _ = self.answers.send(answer);
        true
    }

    /// The frame that answers another one.
    fn reply(&self, frame: &[u8], server: Ipv4Addr) -> Option<Vec<u8>> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let Some(TransportSlice::Udp(udp)) = &packet.transport else {
            return None;
        };
        let (source, destination) = addresses(packet.net.as_ref()?)?;
        let is_server = destination == IpAddr::from(server) || destination == SERVER_IPV6;
        if !is_server || udp.destination_port() != PORT {
            return None;
        }
        if self.others == OtherNames::AreAskedQemu
            && !name_server::asks_for(udp.payload(), &self.names)
        {
            return None;
        }
        let answer = name_server::answer(udp.payload(), &self.names)?;
        let (to, from): ([u8; 6], [u8; 6]) =
            (frame[6..12].try_into().ok()?, frame[..6].try_into().ok()?);
        let link = PacketBuilder::ethernet2(from, to);
        let packet = match (destination, source) {
            (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 64),
            (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 64),
            _ => return None,
        };
        let mut reply = Vec::new();
        let packet = packet.udp(PORT, udp.source_port());
        packet.write(&mut reply, &answer).ok()?;
        Some(reply)
    }
}

/// The source and the destination of a packet.
fn addresses(net: &NetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        NetSlice::Ipv4(ip) => {
            let ip = ip.header();
            Some((ip.source_addr().into(), ip.destination_addr().into()))
        }
        NetSlice::Ipv6(ip) => {
            let ip = ip.header();
            Some((ip.source_addr().into(), ip.destination_addr().into()))
        }
        NetSlice::Arp(_) => None,
    }
}

/// Puts answers into the network of one QEMU process after another.
pub(crate) async fn carry(mut answers: mpsc::UnboundedReceiver<Vec<u8>>, into: Socket) {
    let Ok(mut line) = into.accept().await else {
        return;
    };
    while let Some(frame) = answers.recv().await {
        let length = u32::try_from(frame.len()).unwrap_or_default();
        let packet = [&length.to_be_bytes()[..], &frame].concat();
        while line.write_all(&packet).await.is_err() {
            // The QEMU of this line has ended; the next one runs the guest that asked.
            match into.accept().await {
                Ok(next) => line = next,
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: [u8; 4] = [10, 0, 2, 15];
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

    /// Asks for the address of `b`.
    fn message() -> Vec<u8> {
        let mut message = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(b"\x01b\0\0\x01\0\x01");
        message
    }

    fn question(to: Ipv4Addr, port: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4(GUEST, to.octets(), 64)
            .udp(40_000, port)
            .write(&mut frame, &message())
            .unwrap();
        frame
    }

    #[tokio::test]
    async fn an_answer_reaches_the_qemu_that_replaced_the_first_one() {
        let folder = base::private_dir::PrivateFolder::new().unwrap();
        let socket = Socket::new(&folder, "names").unwrap();
        let path = socket.path.clone();
        let (answer, answers) = mpsc::unbounded_channel();
        let task = tokio::spawn(carry(answers, socket));
        let mut first = tokio::net::UnixStream::connect(&path).await.unwrap();
        answer.send(b"one".to_vec()).unwrap();
        assert_eq!(
            crate::network::relay::read(&mut first).await.unwrap(),
            b"\0\0\0\x03one"
        );
        drop(first);
        let mut second = tokio::net::UnixStream::connect(&path).await.unwrap();
        answer.send(b"two".to_vec()).unwrap();
        assert_eq!(
            crate::network::relay::read(&mut second).await.unwrap(),
            b"\0\0\0\x03two"
        );
        drop(answer);
        task.await.unwrap();
    }

    #[test]
    fn questions_to_the_name_server_are_answered() {
        let names: Names = [("b".to_owned(), Ipv4Addr::new(10, 9, 0, 2))].into();
        let (resolver, mut answers) = Resolver::new(names, OtherNames::DoNotExist);
        assert!(resolver.answer(&question(SERVER, 53), SERVER));
        let reply = answers.try_recv().unwrap();
        assert!(reply.ends_with(&[0, 4, 10, 9, 0, 2]));
        let packet = SlicedPacket::from_ethernet(&reply).unwrap();
        let Some(NetSlice::Ipv4(ip)) = packet.net else {
            panic!("{reply:?}");
        };
        assert_eq!(ip.header().source_addr(), SERVER);
        assert_eq!(ip.header().destination(), GUEST);
        // To the guest, from the name server.
        assert_eq!((&reply[..6], &reply[6..12]), (&[1; 6][..], &[2; 6][..]));
        let other = Ipv4Addr::new(10, 0, 2, 2);
        assert!(!resolver.answer(&question(other, 53), SERVER));
        assert!(!resolver.answer(&question(SERVER, 54), SERVER));
        let whole = question(SERVER, 53);
        for length in 0..whole.len() {
            assert!(!resolver.answer(&whole[..length], SERVER));
        }
    }

    #[test]
    fn other_names_are_left_to_qemu_in_a_network_that_is_not_filtered() {
        let asked = |name: &str| {
            let names: Names = [(name.to_owned(), Ipv4Addr::new(10, 9, 0, 2))].into();
            let (resolver, mut answers) = Resolver::new(names, OtherNames::AreAskedQemu);
            let answered = resolver.answer(&question(SERVER, 53), SERVER);
            (answered, answers.try_recv().is_ok())
        };
        assert_eq!(asked("b"), (true, true));
        assert_eq!(asked("c"), (false, false));
    }

    #[test]
    fn questions_over_ipv6_are_answered() {
        let names: Names = [("b".to_owned(), Ipv4Addr::new(10, 9, 0, 2))].into();
        let (resolver, mut answers) = Resolver::new(names, OtherNames::AreAskedQemu);
        let guest = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0x15);
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv6(guest.octets(), SERVER_IPV6.octets(), 64)
            .udp(40_000, PORT)
            .write(&mut frame, &message())
            .unwrap();
        assert!(resolver.answer(&frame, SERVER));
        let reply = answers.try_recv().unwrap();
        assert!(reply.ends_with(&[0, 4, 10, 9, 0, 2]));
        let packet = SlicedPacket::from_ethernet(&reply).unwrap();
        let addresses = addresses(packet.net.as_ref().unwrap());
        assert_eq!(addresses, Some((SERVER_IPV6.into(), guest.into())));
    }
}

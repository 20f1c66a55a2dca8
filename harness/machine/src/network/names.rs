//! Answers the guest's name server (DNS) for the first network: QEMU's own name server, the address after
//! this host's, asks the host of the harness, which knows no other machine of a cluster.
//!
//! The questions pass the [gate](super::gate); the answers are put into the network by a second
//! `filter-redirector`, on the queue of packets that go to the guest.

use std::net::Ipv4Addr;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::network::socket::Socket;
use crate::services::name_server::{self, Names};

/// UDP port of DNS (RFC 1035, 4.2.1).
const PORT: u16 = 53;

/// What a guest can ask, and the way of the answers.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    names: Names,
    answers: mpsc::UnboundedSender<Vec<u8>>,
}

impl Resolver {
    /// A resolver, and its answers.
    pub(crate) fn new(names: Names) -> (Self, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (answers, receiver) = mpsc::unbounded_channel();
        (Self { names, answers }, receiver)
    }

    /// Answers a frame that asks `server`; returns whether it does.
    pub(crate) fn answer(&self, frame: &[u8], server: Ipv4Addr) -> bool {
        let Some(answer) = answer(frame, server, &self.names) else {
            return false;
        };
        // The channel is closed when the machine has ended.
        let _ = self.answers.send(answer);
        true
    }
}

fn answer(frame: &[u8], server: Ipv4Addr, names: &Names) -> Option<Vec<u8>> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) =
        (&packet.net, &packet.transport)
    else {
        return None;
    };
    let ip = ip.header();
    if ip.destination_addr() != server || udp.destination_port() != PORT {
        return None;
    }
    let answer = name_server::answer(udp.payload(), names)?;
    let (to, from): ([u8; 6], [u8; 6]) =
        (frame[6..12].try_into().ok()?, frame[..6].try_into().ok()?);
    let mut reply = Vec::new();
    PacketBuilder::ethernet2(from, to)
        .ipv4(ip.destination(), ip.source(), 64)
        .udp(PORT, udp.source_port())
        .write(&mut reply, &answer)
        .ok()?;
    Some(reply)
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

    fn question(to: Ipv4Addr, port: u16) -> Vec<u8> {
        let mut message = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(b"\x01b\0\0\x01\0\x01");
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4(GUEST, to.octets(), 64)
            .udp(40_000, port)
            .write(&mut frame, &message)
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
        let (resolver, mut answers) = Resolver::new(names);
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
}

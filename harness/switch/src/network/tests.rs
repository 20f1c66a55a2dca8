use std::time::{Duration, Instant};

use super::*;
use crate::subnet::Mac;

fn network(dhcp: bool) -> Network {
    Network::with_settings(NetworkSettings {
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
async fn machine_gets_the_first_free_address() {
    let network = Network::new();
    let _b = network.attach("b", 2).unwrap();
    let attach = |machine| network.attach_next(machine).unwrap();
    let (a, c) = (attach("a"), attach("c"));
    let last = |link: &Attachment| link.address.octets()[3];
    assert_eq!((last(&a), last(&c)), (1, 3));
    drop(a);
    assert_eq!(last(&attach("d")), 1);
    assert!(network.attach_next("c").is_err());
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
    for number in 0..20_000 {
        a.send([0xff; 6], &number.to_string()).await;
        assert_eq!(b.receive().await, number.to_string());
    }
    let totals = network.totals();
    assert!(
        totals.overrun > 0 && totals.received == 20_000,
        "{totals:?}"
    );
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

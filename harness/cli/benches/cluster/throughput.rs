//! The throughput between two machines: over the switch, and over QEMU's own socket network, in the same pair of
//! machines.

use std::time::Instant;

use serde_json::json;

use host::port;
use machine::{Machine, Ssh};

use crate::common::Result;
use crate::common::figure::{Figure, fine_list, median};
use crate::tree::{self, Tree};

/// The file that is sent, in MB.
const MEGABYTES: u32 = 32;
/// The bound of the time over the switch to the time over QEMU's socket network. The aim is 1.1, a throughput of 0.9
/// times; 1.4 is reached on two cores. QEMU reads one frame per turn of its main loop from a datagram socket
/// (net/dgram.c), and up to 68 kB from a stream (net/socket.c).
const BOUND: f64 = 1.6;
/// QEMU's socket network.
const DIRECT: &str = "direct";

pub(crate) async fn measure(tree: &Tree, runs: u16) -> Result<Figure> {
    let trial = tree.trial("two-machines")?;
    let cluster = tree.start(&trial, 1).await?;
    let port = port::ReservedPort::new(0)?.port();
    let at = format!("127.0.0.1:{port}");
    let (a, b) = (
        tree::machine(&cluster, Some("a"))?,
        tree::machine(&cluster, Some("b"))?,
    );
    connect(a, json!({ "listen": at }), 1).await?;
    connect(b, json!({ "connect": at }), 2).await?;
    let [ssh_a, ssh_b] = [
        tree::log_in(&cluster, Some("a")).await?,
        tree::log_in(&cluster, Some("b")).await?,
    ];
    for (ssh, number) in [(&ssh_a, 1), (&ssh_b, 2)] {
        tree::run(ssh, &configure(number)).await?;
    }
    let serve = format!(
        "dd if=/dev/urandom of=/tmp/file bs=1M count={MEGABYTES} 2> /dev/null && busybox httpd -p 8000 -h /tmp"
    );
    tree::run(&ssh_a, &serve).await?;
    let (mut switched, mut direct) = (Vec::new(), Vec::new());
    for number in 1..=runs {
        switched.push(fetch(&ssh_b, "10.9.0.1").await?);
        direct.push(fetch(&ssh_b, "10.8.0.1").await?);
        eprintln!("throughput {number} of {runs}");
    }
    tree::stop(cluster, &[Some("a"), Some("b")]).await?;
    println!("{MEGABYTES} MB over the switch: {}", fine_list(&switched));
    println!("{MEGABYTES} MB over QEMU's socket: {}", fine_list(&direct));
    let ratio = median(&switched) / median(&direct);
    let figure = "time over the switch over that over QEMU's socket";
    Ok(Figure::new(figure, ratio, BOUND, 2))
}

/// Plugs in a card on QEMU's socket network. The first hot-plug slot has the card of the switch.
async fn connect(machine: &Machine, end: serde_json::Value, number: u8) -> Result<()> {
    let mut network = json!({ "type": "socket", "id": DIRECT });
    if let (Some(network), Some(end)) = (network.as_object_mut(), end.as_object()) {
        network.extend(end.clone());
    }
    machine.qmp("netdev_add", network).await?;
    let card = json!({
        "driver": "virtio-net-pci", "id": DIRECT, "netdev": DIRECT, "romfile": "",
        "mac": mac(number), "bus": "slot1",
    });
    machine.qmp("device_add", card).await?;
    Ok(())
}

fn mac(number: u8) -> String {
    format!("52:54:00:77:00:{number:02x}")
}

/// Waits for the card, and gives it an address.
fn configure(number: u8) -> String {
    let mac = mac(number);
    format!(
        "card() {{ grep -l {mac} /sys/class/net/*/address | cut -d / -f 5; }}; \
         until [ \"$(card)\" ]; do sleep 0.1; done; \
         sudo ip link set \"$(card)\" up && sudo ip addr add 10.8.0.{number}/24 dev \"$(card)\""
    )
}

/// Fetches the file, and returns the seconds that it took.
async fn fetch(ssh: &Ssh, from: &str) -> Result<f64> {
    let begin = Instant::now();
    let fetch = format!("wget -qO /dev/null http://{from}:8000/file");
    tree::run(ssh, &fetch).await?;
    Ok(begin.elapsed().as_secs_f64())
}

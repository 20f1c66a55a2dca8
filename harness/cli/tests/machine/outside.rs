//! What a guest can reach outside its machine.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use machine::{Machine, MachineSpec, Ssh};

use crate::{bench, guest, printed, ready, spec};

/// The addresses of this host in each network of the guest.
const HOSTS: [&str; 2] = ["10.0.2.2", "10.0.3.2"];

/// Waits until the hot-plugged card has its address.
const SECOND_CARD: &str = "until ifconfig eth1 | grep -q 10.0.3.15; do sleep 0.1; done; echo there";

#[tokio::test]
async fn guest_reaches_no_service_of_this_host_unless_asked() {
    let guest = guest::get();
    let bench = bench();
    let services = Services::start();
    for outside in [true, false] {
        let spec = MachineSpec {
            outside,
            ..spec(&guest, &["test.second_card"])
        };
        let machine = Machine::start(spec, bench.evidence.logs()).await.unwrap();
        let ssh = ready(&machine).await;
        machine.plug_card("10.0.3.0/24").await.unwrap();
        assert_eq!(printed(&ssh, SECOND_CARD).await, "there");
        services.check(&ssh, outside).await;
        if !outside {
            services.check_after_reset(&machine).await;
        }
        machine.open_port(services.udp_port());
        let ssh = ready(&machine).await;
        services.send(&ssh, HOSTS[0]).await;
        assert!(services.heard(), "an opened port is reached");
        machine.stop().await;
    }
}

/// A TCP and a UDP service on the loopback interface of this host.
struct Services {
    tcp: TcpListener,
    tcp6: TcpListener,
    udp: UdpSocket,
}

impl Services {
    fn start() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp6 = TcpListener::bind("[::1]:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        tcp6.set_nonblocking(true).unwrap();
        udp.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        Self { tcp, tcp6, udp }
    }

    fn udp_port(&self) -> u16 {
        self.udp.local_addr().unwrap().port()
    }

    async fn check(&self, ssh: &Ssh, outside: bool) {
        for host in HOSTS {
            let port = self.tcp.local_addr().unwrap().port();
            let said = connect(ssh, &format!("{host} {port}")).await;
            assert_eq!(self.tcp.accept().is_ok(), outside, "{host}: {said}");
            assert_eq!(said.contains("refused"), !outside, "{host}: {said}");
            self.send(ssh, host).await;
            assert_eq!(self.heard(), outside, "{host}");
        }
        let port = self.tcp6.local_addr().unwrap().port();
        let said = connect(ssh, &format!("fec0::2 {port}")).await;
        assert_eq!(self.tcp6.accept().is_ok(), outside, "IPv6: {said}");
    }

    /// An emulated machine runs in a new QEMU process after a reset.
    async fn check_after_reset(&self, machine: &Machine) {
        machine.expect_reboot().await;
        let reset = machine.reset();
        reset.await.unwrap();
        let ssh = ready(machine).await;
        assert_eq!(printed(&ssh, SECOND_CARD).await, "there");
        self.check(&ssh, false).await;
    }

    /// The guest sends a packet.
    async fn send(&self, ssh: &Ssh, host: &str) {
        let port = self.udp_port();
        let send = format!("timeout 2 tftp -g -r a -l /tmp/a {host} {port}; echo sent");
        assert!(printed(ssh, &send).await.ends_with("sent"));
    }

    fn heard(&self) -> bool {
        let mut packet = [0; 512];
        let heard = self.udp.recv(&mut packet).is_ok();
        self.udp.set_nonblocking(true).unwrap();
        while self.udp.recv(&mut packet).is_ok() {}
        self.udp.set_nonblocking(false).unwrap();
        heard
    }
}

async fn connect(ssh: &Ssh, to: &str) -> String {
    printed(ssh, &format!("timeout 3 nc {to} < /dev/null 2>&1; true")).await
}

//! Links between machines: network cards on a network that other machines are attached to.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use base::wait::{Poll, wait_until};
use host::speed;
use serde_json::{Value, json};
use switch::{Attachment, Network, NetworkSettings, SubnetError};

use super::hotplug::{CARD, in_slot};
use super::machine::Machine;
use super::process::QmpSetting;
use crate::error::MachineError;
use crate::network::link::Link;
use crate::network::names::{self, OtherNames, Resolver};
use crate::profile::Board;
use crate::qemu::plugged::{NETWORK_CARD, hardware_address, slot};

/// The timeout for the guest to find a card, on the reference host.
const FOUND_SECONDS: u64 = 20;

/// QEMU's name of the first network.
const FIRST: &str = "net0";

/// The links of a machine, also across a power cut.
pub(super) type Links = Arc<Mutex<Vec<Attachment>>>;

/// Attaches a machine that is not started yet. Returns the settings that give it its cards before its first
/// instruction.
pub(super) fn attach_all(
    links: &[Link],
    board: Board,
) -> Result<(Vec<QmpSetting>, Links), MachineError> {
    let (mut settings, mut attached) = (Vec::new(), Vec::new());
    for (number, link) in links.iter().enumerate() {
        let mut link = link.attach()?;
        let (id, socket) = (format!("{CARD}{number}"), link.socket.take());
        settings.extend(backend(&id, socket));
        let slot = (board == Board::Q35).then(|| slot(number));
        settings.push(setting(&id, "device_add", card(&id, link.mac, slot)));
        attached.push(link);
    }
    Ok((settings, Arc::new(Mutex::new(attached))))
}

impl Machine {
    /// Plugs in a network card and attaches it to a network, under the name that the network's methods take.
    /// The card gets the first free address, which is returned. The guest obtains it by DHCP.
    ///
    /// [`MachineSpec::links`](crate::MachineSpec::links) gives a machine its cards before it starts.
    ///
    /// # Errors
    /// A machine of this name is attached; the subnet is full; no slot is free; QEMU's error.
    ///
    /// # Examples
    /// Two machines meet on a network, which is then partitioned.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use machine::switch::{Impairment, Network};
    /// use machine::{LogDir, Login, Machine, MachineSpec};
    ///
    /// # async fn example(spec: MachineSpec, login: Login) -> Result<(), Box<dyn std::error::Error>> {
    /// let network = Network::new();
    /// let a = Machine::start(spec.clone(), &LogDir::new("logs/a")).await?;
    /// let b = Machine::start(spec, &LogDir::new("logs/b")).await?;
    /// let limit = Duration::from_secs(150);
    /// a.wait_ready(limit).await?;
    /// b.wait_ready(limit).await?;
    /// a.attach(&network, "a").await?;
    /// let address = b.attach(&network, "b").await?;
    ///
    /// let ssh = a.ssh(&login, limit).await?;
    /// let ping = format!("sudo ping -c 1 -W 2 {address}");
    /// let until = format!("until {ping}; do sleep 1; done");
    /// assert_eq!(ssh.run(&until, limit).await?.exit, Some(0));
    ///
    /// let cuts = network.partition(&["a"], &["b"])?;
    /// assert_ne!(ssh.run(&ping, limit).await?.exit, Some(0));
    /// cuts.map(|cut| network.heal(cut));
    ///
    /// let slow = Impairment { delay: Duration::from_millis(100), ..Impairment::default() };
    /// network.impair("b", slow)?;
    /// assert_eq!(ssh.run(&ping, limit).await?.exit, Some(0));
    /// network.write_pcap("lan.pcap".as_ref())?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn attach(&self, network: &Network, name: &str) -> Result<Ipv4Addr, MachineError> {
        let attached = network.attach_next(name);
        let link = attached.map_err(|error| MachineError::Other(error.to_string()))?;
        let address = link.address;
        self.plug_link(link).await?;
        Ok(address)
    }

    /// Plugs in a network card for a link, and returns QEMU's id of the card.
    pub(super) async fn plug_link(&self, mut link: Attachment) -> Result<String, MachineError> {
        let id = format!("{CARD}{}", self.plugged(CARD).await?);
        let slot = self.free_slot().await?;
        for setting in backend(&id, link.socket.take()) {
            self.apply(setting).await?;
        }
        self.set(&id, "device_add", card(&id, link.mac, slot))
            .await?;
        self.keep_link(link);
        Ok(id)
    }

    /// Waits until the guest has found a card that was plugged in: it has given it addresses on the bus.
    pub(super) async fn card_found(&self, id: &str) -> Result<(), MachineError> {
        let look = async || match self.qmp("query-pci", Value::Null).await {
            Err(error) => Poll::Failed(error.to_string()),
            Ok(buses) if has_addresses(&buses, id) => Poll::Ready(()),
            Ok(_) => Poll::NotYet("it has no addresses on the bus".to_owned()),
        };
        let what = format!("the guest to find the network card {id}");
        let limit = speed::seconds(FOUND_SECONDS);
        Ok(wait_until(&what, limit, look).await?)
    }

    /// Creates the link of a machine that is restored, to an empty network if there is no other. Its card has
    /// its hardware address from the snapshot.
    pub(super) async fn plug_saved_link(
        &self,
        id: &str,
        link: Option<&Link>,
    ) -> Result<(), MachineError> {
        let mut link = match link {
            Some(link) => link.attach()?,
            None => lone(id)?.attach()?,
        };
        for setting in backend(id, link.socket.take()) {
            self.apply(setting).await?;
        }
        self.keep_link(link);
        Ok(())
    }

    /// Lets the name server of the first network know the names of other machines.
    pub(super) async fn serve_names(&self) -> Result<(), MachineError> {
        let (spec, process) = (&self.vm.resources.spec, self.vm.process());
        let first = process.plan.gates.iter().find(|(id, _)| id == FIRST);
        let (Some((_, gate)), false) = (first, spec.names.is_empty()) else {
            return Ok(());
        };
        let line = format!("{FIRST}-names");
        let socket = self.line(&line, &line).await?;
        let filter = json!({
            "qom-type": "filter-redirector",
            "id": format!("{line}-in"),
            "netdev": FIRST,
            "queue": "tx",
            "indev": line,
        });
        self.set(&line, "object-add", filter).await?;
        let others = if spec.outside {
            OtherNames::AreAskedQemu
        } else {
            OtherNames::DoNotExist
        };
        let (resolver, answers) = Resolver::new(spec.names.clone(), others);
        gate.resolve(resolver);
        let mut tasks = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(names::carry(answers, socket));
        Ok(())
    }

    fn keep_link(&self, link: Attachment) {
        let links = &self.vm.resources.links;
        let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
        links.push(link);
    }
}

/// Whether a device has addresses, in the answer to `query-pci` (qapi/pci.json in QEMU). An address that is not
/// set yet is all ones.
fn has_addresses(answer: &Value, id: &str) -> bool {
    match answer {
        Value::Array(all) => all.iter().any(|one| has_addresses(one, id)),
        Value::Object(object) if object.get("qdev_id").is_some_and(|found| found == id) => {
            let regions = object.get("regions").and_then(Value::as_array);
            let is_set = |region: &Value| {
                let address = &region["address"];
                address.as_i64().is_some_and(|address| address > 0)
            };
            regions.into_iter().flatten().any(is_set)
        }
        Value::Object(object) => object.values().any(|one| has_addresses(one, id)),
        _ => false,
    }
}

/// A link to a network without other machines.
fn lone(id: &str) -> Result<Link, MachineError> {
    let subnet = "192.0.2.0/24".parse();
    let subnet = subnet.map_err(|error: SubnetError| MachineError::Other(error.to_string()))?;
    Ok(Link {
        network: Network::with_settings(NetworkSettings {
            name: id.to_owned(),
            subnet,
            dhcp: false,
        }),
        machine: id.to_owned(),
        number: 1,
    })
}

/// QEMU's end of a link. Each datagram of the socket is a frame (net/dgram.c in QEMU); the next QEMU gets the
/// same socket.
fn backend(id: &str, socket: Option<OwnedFd>) -> [QmpSetting; 2] {
    let local = json!({ "type": "fd", "str": id });
    let netdev = json!({ "type": "dgram", "id": id, "local": local });
    [
        QmpSetting {
            descriptor: socket.map(Arc::new),
            ..setting(id, "getfd", json!({ "fdname": id }))
        },
        setting(id, "netdev_add", netdev),
    ]
}

fn card(id: &str, mac: [u8; 6], slot: Option<String>) -> Value {
    let card = json!({
        "driver": NETWORK_CARD, "id": id, "netdev": id, "romfile": "",
        "mac": hardware_address(mac),
    });
    in_slot(card, slot)
}

fn setting(owner: &str, command: &'static str, arguments: Value) -> QmpSetting {
    QmpSetting {
        owner: owner.to_owned(),
        command,
        arguments,
        descriptor: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_has_addresses_once_the_guest_has_set_one() {
        // As QEMU 7.2 answers, shortened.
        let answer = |address: i64| {
            json!([{ "bus": 0, "devices": [
                { "qdev_id": "net0", "regions": [{ "bar": 0, "address": 49152 }] },
                { "qdev_id": "slot0", "regions": [], "pci_bridge": { "devices": [
                    { "qdev_id": "plugged_card0", "regions": [
                        { "bar": 1, "address": address }, { "bar": 4, "address": -1 },
                    ] },
                ] } },
            ] }])
        };
        assert!(!has_addresses(&answer(-1), "plugged_card0"));
        assert!(has_addresses(&answer(0xfe80_0000), "plugged_card0"));
        assert!(!has_addresses(&answer(0xfe80_0000), "plugged_card1"));
    }
}

//! The link state of a network card.

use serde_json::json;

use crate::error::MachineError;
use crate::qemu::launch;
use crate::vm::Machine;

impl Machine {
    /// QEMU's name for the network of the card with this hardware address.
    ///
    /// # Errors
    /// No card has this address; QEMU's error.
    pub async fn network_of(&self, address: &str) -> Result<String, MachineError> {
        let table = launch::monitor(&self.current_qmp(), "info network").await?;
        network_of(&table, address).ok_or_else(|| {
            MachineError::Other(format!("no network card has the address {address}"))
        })
    }

    /// Sets the link of a card up or down.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn set_link(&self, network: &str, up: bool) -> Result<(), MachineError> {
        let cable = format!("cable of {network}");
        self.forget(&cable);
        let change = json!({ "name": network, "up": up });
        self.set(&cable, "set_link", change).await
    }
}

/// Finds the row of the card; the row of its network follows:
/// `virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56`
/// ` \ net0: index=0,type=user,...`
fn network_of(table: &str, address: &str) -> Option<String> {
    let wanted = format!("macaddr={}", address.to_lowercase());
    let mut rows = table.lines();
    rows.find(|row| row.trim_end().ends_with(&wanted))?;
    let network = rows.next()?.trim_start().strip_prefix("\\ ")?;
    Some(network.split_once(':')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_follows_its_card_in_the_table() {
        let card = "virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\r\n \\ net0: index=0,type=user,net=10.0.2.0,restrict=off\r\n";
        let other = card.replace("34:56", "34:57").replace("net0", "net1");
        let table = format!("{card}{other}");
        let found = |address| network_of(&table, address);
        assert_eq!(found("52:54:00:12:34:56").as_deref(), Some("net0"));
        assert_eq!(found("52:54:00:12:34:57").as_deref(), Some("net1"));
        assert_eq!(found("52:54:00:12:34:58"), None);
    }
}

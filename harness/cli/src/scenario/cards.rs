//! Network cards of a machine, and what the networks that they lead to tell it.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::supply::Subnet;
use crate::machine::CardNetwork;

/// What DHCP server and router of the first card's network tell the machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Network")]
pub struct NetworkFile {
    /// Whether leases name a router and a name server; without them the machine reaches nothing
    /// there but what the harness serves.
    pub router: bool,
    /// The name server that leases name.
    pub name_server: Option<Ipv4Addr>,
    /// The domain that leases name (DHCP option 15).
    pub domain: Option<HostName>,
    /// The domains that leases name for lookups (option 119).
    pub search: Vec<HostName>,
    /// The host name that leases name (option 12).
    pub hostname: Option<HostName>,
    /// Whether the router sends IPv6 router advertisements.
    pub ipv6: bool,
}

/// A network card beside the first, on a network of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Card")]
pub struct CardFile {
    /// The network's address; the router is its second address.
    pub subnet: Subnet,
    /// As in `network`.
    #[serde(default = "yes")]
    pub router: bool,
    /// As in `network`.
    pub name_server: Option<Ipv4Addr>,
    /// As in `network`.
    pub domain: Option<HostName>,
    /// As in `network`.
    #[serde(default)]
    pub search: Vec<HostName>,
    /// As in `network`.
    pub hostname: Option<HostName>,
    /// As in `network`.
    #[serde(default = "yes")]
    pub ipv6: bool,
}

fn yes() -> bool {
    true
}

impl Default for NetworkFile {
    fn default() -> Self {
        Self {
            router: true,
            name_server: None,
            domain: None,
            search: Vec::new(),
            hostname: None,
            ipv6: true,
        }
    }
}

impl NetworkFile {
    /// As the machine is asked for it.
    pub fn network(&self) -> CardNetwork {
        CardNetwork {
            subnet: None,
            router: self.router,
            name_server: self.name_server.map(|address| address.to_string()),
            domain: self.domain.clone().map(|name| name.0),
            search: self.search.iter().map(|name| name.0.clone()).collect(),
            hostname: self.hostname.clone().map(|name| name.0),
            ipv6: self.ipv6,
        }
    }
}

impl CardFile {
    /// As the machine is asked for it.
    pub fn network(&self) -> CardNetwork {
        let file = NetworkFile {
            router: self.router,
            name_server: self.name_server,
            domain: self.domain.clone(),
            search: self.search.clone(),
            hostname: self.hostname.clone(),
            ipv6: self.ipv6,
        };
        CardNetwork {
            subnet: Some(self.subnet.to_string()),
            ..file.network()
        }
    }
}

/// A host name or a domain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct HostName(String);

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // It becomes part of an option of QEMU, in which a comma has a meaning.
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        match !text.is_empty() && text.chars().all(fits) {
            true => Ok(Self(text)),
            false => Err(format!(
                "`{text}` is no name: write letters, digits, hyphens and dots"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_says_what_its_network_is() {
        let text =
            "{ subnet: 10.0.4.0/24, name_server: 10.0.4.9, search: [a.example], ipv6: false }";
        let card: CardFile = serde_yaml::from_str(text).unwrap();
        let network = card.network();
        assert_eq!(network.subnet.as_deref(), Some("10.0.4.0/24"));
        assert_eq!(network.name_server.as_deref(), Some("10.0.4.9"));
        assert_eq!(network.search, ["a.example"]);
        assert!(network.router && !network.ipv6);
    }

    #[test]
    fn a_name_cannot_be_another_option_of_qemu() {
        for bad in ["", "a,restrict=off", "a b"] {
            assert!(HostName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}

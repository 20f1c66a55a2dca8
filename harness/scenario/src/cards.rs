//! Network cards of a machine, and what the networks that they lead to tell it.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::supply::Subnet;

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

/// A host name or a domain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct HostName(String);

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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
    fn a_name_cannot_be_another_option_of_qemu() {
        for bad in ["", "a,restrict=off", "a b"] {
            assert!(HostName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}

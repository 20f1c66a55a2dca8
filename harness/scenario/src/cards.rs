//! Network cards of a machine, and what their networks announce.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::subnet::Subnet;

/// What DHCP server and router of the first card announce.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Network")]
pub struct NetworkFile {
    /// Whether leases contain a router and a name server; without them the machine only reaches
    /// its fixtures on this network.
    pub router: bool,
    /// The name server in leases.
    pub name_server: Option<Ipv4Addr>,
    /// The domain in leases (DHCP option 15).
    pub domain: Option<HostName>,
    /// The search domains in leases (DHCP option 119).
    pub search: Vec<HostName>,
    /// The host name in leases (DHCP option 12).
    pub hostname: Option<HostName>,
    /// Whether the router sends IPv6 router advertisements.
    pub ipv6: bool,
}

/// An additional network card, on a network of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Card")]
pub struct CardFile {
    /// The address of the network; the router has its second address.
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
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The name becomes part of a QEMU option, in which a comma separates fields.
        let valid = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        if !text.is_empty() && text.chars().all(valid) {
            Ok(Self(text))
        } else {
            Err(format!(
                "`{text}` is not a host name; write letters, digits, hyphens and dots"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_name_is_refused_when_it_could_add_a_qemu_option() {
        for bad in ["", "a,restrict=off", "a b"] {
            assert!(HostName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}

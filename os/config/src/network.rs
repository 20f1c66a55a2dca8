//! The key `network`: settings of interfaces and how interfaces are matched to them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Addresses, Gateways, Vlans};

/// The prefix of a key that names an interface by its hardware address.
const BY_ADDRESS: &str = "mac=";

/// The network settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// By name (`eth0`), pattern (`eth*`) or hardware address (`mac=52:54:…`).
    pub interfaces: BTreeMap<String, Interface>,
}

impl Network {
    /// The settings of an interface: the entry for its hardware address, else for its name, else for the
    /// longest pattern that matches its name.
    pub fn of(&self, name: &str, address: &str) -> Option<&Interface> {
        let by_address = self.interfaces.iter().find(|(key, _)| {
            let wanted = key.strip_prefix(BY_ADDRESS);
            wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(address))
        });
        let by_pattern = || {
            let keys = self.interfaces.iter();
            keys.filter(|(key, _)| {
                glob::Pattern::new(key).is_ok_and(|pattern| pattern.matches(name))
            })
            .max_by_key(|(key, _)| key.len())
        };
        let found = by_address
            .or_else(|| self.interfaces.get_key_value(name))
            .or_else(by_pattern);
        found.map(|(_, interface)| interface)
    }

    /// The interfaces whose keys are names, not patterns or hardware addresses.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Interface)> {
        let all = self.interfaces.iter();
        let all = all.map(|(key, interface)| (key.as_str(), interface));
        all.filter(|(key, _)| !key.starts_with(BY_ADDRESS) && !key.contains(['*', '?', '[']))
    }
}

/// The settings of an interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Interface {
    /// Whether a DHCP client runs; see [`Interface::asks_dhcp`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<bool>,
    /// Addresses, each `ADDRESS/BITS`.
    #[serde(skip_serializing_if = "Addresses::is_empty")]
    pub address: Addresses,
    /// Default gateways: one, or one of each address family.
    #[serde(skip_serializing_if = "Gateways::is_empty")]
    pub gateway: Gateways,
    /// Routes to other networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// The metric of its routes; the lowest has priority. See [`Interface::metric`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// Whether a default route from DHCP or a router advertisement is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_route: Option<bool>,
    /// Whether name servers and search domains from DHCP or a router advertisement are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_servers: Option<bool>,
    /// The MTU, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether it is a bridge, or which bridge it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
    /// The bond that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<String>,
    /// Options of a bond, by their names in `/sys/class/net/NAME/bonding`. An interface with options is a
    /// bond.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bond_opts: BTreeMap<String, String>,
    /// VLAN interfaces on top of it, each `ID` or `ID:NAME`.
    #[serde(skip_serializing_if = "Vlans::is_empty")]
    pub vlans: Vlans,
    /// Shell commands that run before the interface is up; `$iface` is its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_up: Vec<String>,
    /// Shell commands that run after the interface is up and has its address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_up: Vec<String>,
}

impl Interface {
    /// Whether a DHCP client runs on the interface.
    ///
    /// An interface with static addresses and a part of a bond use no DHCP. Any other interface uses it
    /// by default, so that an entry that sets only other keys does not cut the network; a bridge uses it
    /// only if `dhcp` is true.
    pub fn asks_dhcp(&self) -> bool {
        let default = self.bridge.is_none();
        self.address.is_empty() && self.bond.is_none() && self.dhcp.unwrap_or(default)
    }

    /// Whether the interface is part of a bridge or a bond, which holds the addresses.
    pub fn is_part(&self) -> bool {
        self.bond.is_some() || matches!(self.bridge, Some(Bridge::PartOf(_)))
    }

    /// The metric of the interface's routes. The defaults are unique: `eth0` ranks before `eth1`, and both
    /// rank before all other interfaces, which rank in the order in which the kernel created them.
    pub fn metric(&self, name: &str, index: u32) -> u32 {
        let card = name
            .strip_prefix("eth")
            .and_then(|number| number.parse().ok());
        let default = match card {
            Some(number @ 0..100_u32) => 100 + number,
            _ => 200 + index,
        };
        self.metric.unwrap_or(default)
    }
}

/// An address with the length of its network prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    address: IpAddr,
    bits: u8,
}

impl Address {
    /// Whether it is an IPv4 address.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }
}

impl FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = text.split_once('/').ok_or(())?;
        let address: IpAddr = address.parse().map_err(drop)?;
        let bits = bits.parse().map_err(drop)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most {
            return Err(());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParseText {
            expected: "an address such as `10.0.0.2/24`",
            parse: |text| text.parse().ok(),
        })
    }
}

/// A route to another network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The destination, `ADDRESS/BITS`.
    pub to: Address,
    /// The gateway. Without a gateway, the destination is on the interface's own link.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "gateway"
    )]
    pub via: Option<IpAddr>,
    /// The metric; the default is the interface's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
}

fn gateway<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let parsed = deserializer.deserialize_any(ParseText {
        expected: "an address such as `10.0.0.1`",
        parse: |text| text.parse().ok(),
    });
    parsed.map(Some)
}

/// Reads a value from text.
struct ParseText<T> {
    /// What an error message says the value must be.
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for ParseText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_type(Unexpected::Str(text), &self))
    }
}

/// The role of an interface in a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bridge {
    /// `true`: the interface is a bridge and is created. `false` is the same as no value.
    Is(bool),
    /// The interface is part of the bridge of this name.
    PartOf(String),
}

impl Serialize for Bridge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(flag) => flag.serialize(serializer),
            Self::PartOf(name) => name.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Bridge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BridgeVisitor)
    }
}

struct BridgeVisitor;

impl Visitor<'_> for BridgeVisitor {
    type Value = Bridge;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true` for a bridge, or the name of the bridge that it is part of")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Bridge, E> {
        Ok(Bridge::Is(flag))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Bridge, E> {
        // Other spellings of YAML's booleans, which `verbatim` preserves as text.
        Ok(match name {
            "True" | "TRUE" => Bridge::Is(true),
            "False" | "FALSE" => Bridge::Is(false),
            name => Bridge::PartOf(name.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "interfaces:
  '*':
    dhcp: false
  eth*:
    mtu: 1400
  eth1:
    address: 10.0.0.2/24
    gateway: 10.0.0.1
  mac=52:54:00:AB:00:02:
    address:
    - 10.0.0.3/24
    - fd00::3/64
  br0:
    bridge: true
  eth3:
    bridge: br0
  eth4:
    gateway: [10.0.0.1, 'fd00::1']
    routes: [{ to: 10.8.0.0/16, via: 10.0.0.9, metric: 5 }, { to: 'fd01::/64' }]
    vlans: 100,200:lab
    post_up: [echo $iface]
  eth5:
    vlans: 100
    bond: bond0
";

    fn example() -> Network {
        serde_yaml::from_str(EXAMPLE).unwrap()
    }

    fn of(name: &str, address: &str) -> Interface {
        example().of(name, address).cloned().unwrap_or_default()
    }

    #[test]
    fn hardware_address_has_priority_over_name_and_name_over_pattern() {
        assert_eq!(of("eth1", "52:54:00:ab:00:01").address.0.len(), 1);
        assert_eq!(of("eth1", "52:54:00:ab:00:02").address.0.len(), 2);
        assert_eq!(of("eth2", "").mtu, Some(1400));
        assert_eq!(of("wlan0", "").dhcp, Some(false));
        let named: Vec<_> = example().named().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(named, ["br0", "eth1", "eth3", "eth4", "eth5"]);
    }

    #[test]
    fn interface_uses_dhcp_when_the_settings_do_not_exclude_it() {
        for (name, asks) in [("eth0", true), ("eth1", false), ("br0", false)] {
            assert_eq!(of(name, "").asks_dhcp(), asks, "{name}");
        }
        assert!(!of("eth3", "").asks_dhcp() && !of("lo", "").asks_dhcp());
        let bridge = "{ bridge: true, dhcp: true }";
        let bridge: Interface = serde_yaml::from_str(bridge).unwrap();
        assert!(bridge.asks_dhcp());
    }

    #[test]
    fn first_ethernet_card_has_the_lowest_metric() {
        let interface = Interface::default();
        let ranks = [
            ("eth0", 2),
            ("eth1", 9),
            ("eth10", 3),
            ("br0", 4),
            ("lab", 5),
        ];
        let ranks = ranks.map(|(name, index)| interface.metric(name, index));
        assert_eq!(ranks, [100, 101, 110, 204, 205]);
        let configured: Interface = serde_yaml::from_str("metric: 7").unwrap();
        assert_eq!(configured.metric("eth3", 1), 7);
    }

    #[test]
    fn bond_uses_dhcp_and_its_parts_do_not() {
        let interface = |text: &str| serde_yaml::from_str::<Interface>(text).unwrap();
        let part = interface("bond: bond0");
        assert!(part.is_part() && !part.asks_dhcp());
        let bond = interface("bond_opts: { mode: '1', miimon: '100' }");
        assert_eq!(bond.bond_opts["mode"], "1");
        assert!(bond.asks_dhcp() && !bond.is_part());
    }

    #[test]
    fn network_settings_survive_a_round_trip() {
        let written = serde_yaml::to_string(&example()).unwrap();
        let again: Network = serde_yaml::from_str(&written).unwrap();
        assert_eq!(again, example());
        assert!(written.contains("address: 10.0.0.2/24\n"), "{written}");
    }

    #[test]
    fn address_is_rejected_when_it_is_malformed() {
        for text in [
            "10.0.0.2",
            "10.0.0.2/33",
            "10.0.0/8",
            "fd00::1/129",
            "x/24",
            "1.2.3.4/-1",
        ] {
            assert_eq!(text.parse::<Address>(), Err(()), "{text}");
        }
    }
}

//! Network interfaces: which settings are whose, and what they may be.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Addresses, Gateways, Vlans};

/// What the key of an interface begins with that is named by its hardware address.
const BY_ADDRESS: &str = "mac=";

/// Network interfaces, by name or pattern.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// By name (`eth0`), pattern (`eth*`) or hardware address (`mac=52:54:…`).
    pub interfaces: BTreeMap<String, Interface>,
}

impl Network {
    /// What holds for an interface: what is said of its hardware address, else of its name, else of
    /// the longest pattern that its name fits.
    pub fn of(&self, name: &str, address: &str) -> Option<&Interface> {
        let by_address = self.interfaces.iter().find(|(key, _)| {
            let wanted = key.strip_prefix(BY_ADDRESS);
            wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(address))
        });
        let fits = |key: &str| glob::Pattern::new(key).is_ok_and(|pattern| pattern.matches(name));
        let by_pattern = || {
            let keys = self.interfaces.iter().filter(|(key, _)| fits(key));
            keys.max_by_key(|(key, _)| key.len())
        };
        let found = by_address
            .or_else(|| self.interfaces.get_key_value(name))
            .or_else(by_pattern);
        found.map(|(_, interface)| interface)
    }

    /// The interfaces that are called by their names.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Interface)> {
        let all = self.interfaces.iter();
        let all = all.map(|(key, interface)| (key.as_str(), interface));
        all.filter(|(key, _)| !key.starts_with(BY_ADDRESS) && !key.contains(['*', '?', '[']))
    }
}

/// How an interface gets its address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Interface {
    /// Whether DHCP is asked; see [`Interface::asks_dhcp`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<bool>,
    /// `ADDRESS/BITS`, or a list of them.
    #[serde(skip_serializing_if = "Addresses::is_empty")]
    pub address: Addresses,
    /// Where everything else is: a router, or one of each family.
    #[serde(skip_serializing_if = "Gateways::is_empty")]
    pub gateway: Gateways,
    /// Other networks, and the routers that lead to them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// How its routes rank: the lowest number is used first. See [`Interface::metric`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// Whether a default route that DHCP or a router advertises is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_route: Option<bool>,
    /// Whether name servers and domains that DHCP or a router advertises are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_servers: Option<bool>,
    /// The longest packet, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether it is a bridge, or which bridge it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
    /// Which bond it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<String>,
    /// It is a bond with these options, by their names in `/sys/class/net/NAME/bonding`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bond_opts: BTreeMap<String, String>,
    /// VLANs on top of it, each an interface of its own: `ID` or `ID:NAME`, between commas or as a list.
    #[serde(skip_serializing_if = "Vlans::is_empty")]
    pub vlans: Vlans,
    /// Commands for a shell before it is up; `$iface` is its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_up: Vec<String>,
    /// Commands for a shell when it is up and has its address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_up: Vec<String>,
}

impl Interface {
    /// DHCP is not asked for what has addresses. For the rest it is unless the contrary is said, so
    /// that nobody loses the network who only says something else; a bridge must ask for it.
    pub fn asks_dhcp(&self) -> bool {
        let unless_told = self.bridge.is_none();
        self.address.is_empty() && self.bond.is_none() && self.dhcp.unwrap_or(unless_told)
    }

    /// Whether it is part of a bridge or a bond, which has the addresses.
    pub fn is_part(&self) -> bool {
        self.bond.is_some() || matches!(self.bridge, Some(Bridge::PartOf(_)))
    }

    /// How its routes rank. `eth0` comes before `eth1`, and both before all others, which have the order
    /// in which the kernel made them; no two interfaces have the same number.
    pub fn metric(&self, name: &str, index: u32) -> u32 {
        let card = name
            .strip_prefix("eth")
            .and_then(|number| number.parse().ok());
        let usual = match card {
            Some(number @ 0..100_u32) => 100 + number,
            _ => 200 + index,
        };
        self.metric.unwrap_or(usual)
    }
}

/// An address and how many of its bits are those of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    address: IpAddr,
    bits: u8,
}

impl Address {
    /// Whether it is one of IPv4.
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
        deserializer.deserialize_any(Parsed {
            wants: "an address such as `10.0.0.2/24`",
            parse: |text| text.parse().ok(),
        })
    }
}

/// A route to another network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The network, `ADDRESS/BITS`.
    pub to: Address,
    /// The router; without one the network is on the same wire.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "router"
    )]
    pub via: Option<IpAddr>,
    /// How it ranks, where that is not as the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
}

const ROUTER: &str = "an address such as `10.0.0.1`";

fn router<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let parsed = deserializer.deserialize_any(Parsed {
        wants: ROUTER,
        parse: |text| text.parse().ok(),
    });
    parsed.map(Some)
}

/// What is read from text.
struct Parsed<T> {
    /// What people are told who wrote something else.
    wants: &'static str,
    parse: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wants)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_type(Unexpected::Str(text), &self))
    }
}

/// What an interface has to do with bridges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bridge {
    /// It is one, which is made; `false` is as good as nothing.
    Is(bool),
    /// It is part of this one.
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
        deserializer.deserialize_any(Bridging)
    }
}

struct Bridging;

impl Visitor<'_> for Bridging {
    type Value = Bridge;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true` for a bridge, or the name of the bridge that it is part of")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Bridge, E> {
        Ok(Bridge::Is(flag))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Bridge, E> {
        // As YAML has them, and as they were kept.
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
    fn an_exact_name_wins_over_a_pattern_and_the_hardware_address_over_both() {
        assert_eq!(of("eth1", "52:54:00:ab:00:01").address.0.len(), 1);
        assert_eq!(of("eth1", "52:54:00:ab:00:02").address.0.len(), 2);
        assert_eq!(of("eth2", "").mtu, Some(1400));
        assert_eq!(of("wlan0", "").dhcp, Some(false));
        let named: Vec<_> = example().named().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(named, ["br0", "eth1", "eth3", "eth4", "eth5"]);
    }

    #[test]
    fn dhcp_is_asked_where_nothing_else_is_said() {
        for (name, asks) in [("eth0", true), ("eth1", false), ("br0", false)] {
            assert_eq!(of(name, "").asks_dhcp(), asks, "{name}");
        }
        assert!(!of("eth3", "").asks_dhcp() && !of("lo", "").asks_dhcp());
        let bridge = "{ bridge: true, dhcp: true }";
        let bridge: Interface = serde_yaml::from_str(bridge).unwrap();
        assert!(bridge.asks_dhcp());
    }

    #[test]
    fn the_first_card_ranks_before_the_others() {
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
        let told: Interface = serde_yaml::from_str("metric: 7").unwrap();
        assert_eq!(told.metric("eth3", 1), 7);
    }

    #[test]
    fn a_part_of_a_bond_asks_nobody_and_the_bond_does() {
        let interface = |text: &str| serde_yaml::from_str::<Interface>(text).unwrap();
        let part = interface("bond: bond0");
        assert!(part.is_part() && !part.asks_dhcp());
        let bond = interface("bond_opts: { mode: '1', miimon: '100' }");
        assert_eq!(bond.bond_opts["mode"], "1");
        assert!(bond.asks_dhcp() && !bond.is_part());
    }

    #[test]
    fn all_that_is_read_is_written_as_it_was() {
        let written = serde_yaml::to_string(&example()).unwrap();
        let again: Network = serde_yaml::from_str(&written).unwrap();
        assert_eq!(again, example());
        assert!(written.contains("address: 10.0.0.2/24\n"), "{written}");
    }

    #[test]
    fn what_is_no_address_is_none() {
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

//! Network interfaces: which settings are whose, and what they may be.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
    /// Where everything else is.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "gateway")]
    pub gateway: Option<IpAddr>,
    /// The longest packet, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether it is a bridge, or which bridge it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
}

impl Interface {
    /// DHCP is not asked for what has addresses. For the rest it is unless the contrary is said, so
    /// that nobody loses the network who only says something else; a bridge must ask for it.
    pub fn asks_dhcp(&self) -> bool {
        let unless_told = self.bridge.is_none();
        self.address.is_empty() && self.dhcp.unwrap_or(unless_told)
    }
}

/// An address and how many of its bits are those of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    address: IpAddr,
    bits: u8,
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

/// Addresses: a list, or one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(pub Vec<Address>);

impl Addresses {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            all => all.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Addresses;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address such as `10.0.0.2/24`, or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Addresses, E> {
        let one = text.parse();
        one.map(|one| Addresses(vec![one]))
            .map_err(|()| E::invalid_type(Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Addresses, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(Addresses)
    }
}

fn gateway<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let parsed = deserializer.deserialize_any(Parsed {
        wants: "an address such as `10.0.0.1`",
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
        assert_eq!(named, ["br0", "eth1", "eth3"]);
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

//! Values of a network interface that are written as one or as a list.

use std::fmt;
use std::net::IpAddr;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Address;

fn one_or_list<T: Serialize, S: Serializer>(all: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    match all {
        [one] => one.serialize(serializer),
        all => all.serialize(serializer),
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
        one_or_list(&self.0, serializer)
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

/// Routers to everything else: one, or one of each family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateways(pub Vec<IpAddr>);

impl Gateways {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Gateways {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        one_or_list(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Gateways {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOfEach)
    }
}

struct OneOfEach;

impl<'de> Visitor<'de> for OneOfEach {
    type Value = Gateways;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address such as `10.0.0.1`, or one of IPv4 and one of IPv6")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Gateways, E> {
        let one = text.parse();
        one.map(|one| Gateways(vec![one]))
            .map_err(|_| E::invalid_type(Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Gateways, A::Error> {
        let mut all: Vec<IpAddr> = Vec::new();
        while let Some(text) = items.next_element::<String>()? {
            let wrong = || A::Error::invalid_type(Unexpected::Str(&text), &self);
            let one: IpAddr = text.parse().map_err(|_| wrong())?;
            if all.iter().any(|other| other.is_ipv4() == one.is_ipv4()) {
                return Err(wrong());
            }
            all.push(one);
        }
        Ok(Gateways(all))
    }
}

/// A VLAN on top of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// Its number, 1 to 4094.
    pub id: u16,
    /// The name of its interface, where that is not `PARENT.ID`.
    pub name: Option<String>,
}

impl Vlan {
    fn read(text: &str) -> Option<Self> {
        let (id, name) = match text.trim().split_once(':') {
            Some((id, name)) => (id, Some(name.trim())),
            None => (text.trim(), None),
        };
        let id = id.parse().ok().filter(|id| (1..=4094).contains(id))?;
        // As the kernel has it (`dev_valid_name` in net/core/dev.c).
        let fits = |name: &str| {
            (1..=15).contains(&name.len())
                && !name.contains(['/', ':', ' '])
                && !name.starts_with('-')
        };
        if name.is_some_and(|name| !fits(name)) {
            return None;
        }
        let name = name.map(str::to_owned);
        Some(Self { id, name })
    }

    /// The name of its interface on top of `parent`.
    pub fn interface(&self, parent: &str) -> String {
        let usual = || format!("{parent}.{}", self.id);
        self.name.clone().unwrap_or_else(usual)
    }
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}:{name}", self.id),
            None => write!(f, "{}", self.id),
        }
    }
}

/// VLANs: `100,200:lab`, a number, or a list of either.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vlans(pub Vec<Vlan>);

impl Vlans {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Vlans {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all: Vec<_> = self.0.iter().map(Vlan::to_string).collect();
        serializer.serialize_str(&all.join(","))
    }
}

impl<'de> Deserialize<'de> for Vlans {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VlanList)
    }
}

struct VlanList;

impl<'de> Visitor<'de> for VlanList {
    type Value = Vlans;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VLANs such as `100` or `100,200:NAME`, or a list of them")
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Vlans, E> {
        self.visit_str(&id.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vlans, E> {
        let all: Option<Vec<_>> = text.split(',').map(Vlan::read).collect();
        let wrong = || E::invalid_type(Unexpected::Str(text), &self);
        all.map(Vlans).ok_or_else(wrong)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vlans, A::Error> {
        let mut all = Vec::new();
        while let Some(Vlans(some)) = items.next_element()? {
            all.extend(some);
        }
        Ok(Vlans(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_are_numbers_that_may_have_names() {
        let read = |text: &str| serde_yaml::from_str::<Vlans>(text);
        let names = |text: &str| {
            let vlans = read(text).unwrap().0;
            let names = vlans.iter().map(|vlan| vlan.interface("eth0"));
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("100"), "eth0.100");
        assert_eq!(names("100, 200:lab"), "eth0.100 lab");
        assert_eq!(names("[100, '200:lab']"), "eth0.100 lab");
        for bad in ["0", "4095", "lab", "'1:'", "1:a/b", "1:-x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_is_one_gateway_of_each_family() {
        let read = |text: &str| serde_yaml::from_str::<Gateways>(text);
        assert_eq!(read("10.0.0.1").unwrap().0.len(), 1);
        assert_eq!(read("[10.0.0.1, 'fe80::1']").unwrap().0.len(), 2);
        assert!(read("[10.0.0.1, 10.0.0.2]").is_err() && read("nowhere").is_err());
    }
}

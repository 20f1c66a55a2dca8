//! Values of a network interface that accept one item or a list of items.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use serde::de::{DeserializeOwned, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Address;

/// Serializes a single item as itself and any other number of items as a list.
fn one_or_list<T: Serialize, S: Serializer>(all: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    match all {
        [one] => one.serialize(serializer),
        all => all.serialize(serializer),
    }
}

/// A value that accepts one item as text, or a list of items.
trait OneOrMany: Sized {
    type Item: DeserializeOwned;

    /// What an error message says the value must be.
    const EXPECTED: &'static str;

    /// The value that a text stands for.
    fn parse(text: &str) -> Option<Self>;

    /// The value of a list, or the item that is not allowed in it.
    fn from_items(items: Vec<Self::Item>) -> Result<Self, String>;
}

/// Reads a value that implements [`OneOrMany`].
struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: OneOrMany> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::parse(&number.to_string())
            .ok_or_else(|| E::invalid_type(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).ok_or_else(|| E::invalid_type(Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        T::from_items(items).map_err(|item| A::Error::invalid_type(Unexpected::Str(&item), &self))
    }
}

/// One address or a list of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(pub Vec<Address>);

impl Addresses {
    /// Whether the list is empty.
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
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

impl OneOrMany for Addresses {
    type Item = Address;

    const EXPECTED: &'static str = "an address such as `10.0.0.2/24`, or a list of addresses";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(|one| Self(vec![one]))
    }

    fn from_items(items: Vec<Address>) -> Result<Self, String> {
        Ok(Self(items))
    }
}

/// Default gateways: one, or one of each address family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateways(pub Vec<IpAddr>);

impl Gateways {
    /// Whether the list is empty.
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
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

impl OneOrMany for Gateways {
    type Item = String;

    const EXPECTED: &'static str =
        "an address such as `10.0.0.1`, or a list of one IPv4 and one IPv6 address";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(|one| Self(vec![one]))
    }

    fn from_items(items: Vec<String>) -> Result<Self, String> {
        let mut all: Vec<IpAddr> = Vec::new();
        for text in items {
            match text.parse::<IpAddr>() {
                Ok(one) if all.iter().all(|other| other.is_ipv4() != one.is_ipv4()) => {
                    all.push(one);
                }
                _ => return Err(text),
            }
        }
        Ok(Self(all))
    }
}

/// A VLAN on top of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// The VLAN ID, 1 to 4094.
    pub id: u16,
    /// The name of the VLAN's interface; the default is `PARENT.ID`.
    pub name: Option<String>,
}

impl Vlan {
    fn parse(text: &str) -> Option<Self> {
        let (id, name) = match text.trim().split_once(':') {
            Some((id, name)) => (id, Some(name.trim())),
            None => (text.trim(), None),
        };
        let id = id.parse().ok().filter(|id| (1..=4094).contains(id))?;
        if name.is_some_and(|name| !is_interface_name(name)) {
            return None;
        }
        let name = name.map(str::to_owned);
        Some(Self { id, name })
    }

    /// The name of the VLAN's interface on top of `parent`.
    pub fn interface(&self, parent: &str) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("{parent}.{}", self.id))
    }
}

/// Whether the kernel accepts a name for an interface (`dev_valid_name` in net/core/dev.c).
fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len()) && !name.contains(['/', ':', ' ']) && !name.starts_with('-')
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}:{name}", self.id),
            None => write!(f, "{}", self.id),
        }
    }
}

/// VLANs: a number, text such as `100,200:lab`, or a list of numbers and texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vlans(pub Vec<Vlan>);

impl Vlans {
    /// Whether the list is empty.
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
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

impl OneOrMany for Vlans {
    type Item = Self;

    const EXPECTED: &'static str = "VLANs such as `100` or `100,200:NAME`, or a list of VLANs";

    fn parse(text: &str) -> Option<Self> {
        text.split(',')
            .map(Vlan::parse)
            .collect::<Option<_>>()
            .map(Self)
    }

    fn from_items(items: Vec<Self>) -> Result<Self, String> {
        Ok(Self(items.into_iter().flat_map(|vlans| vlans.0).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_are_read_from_numbers_text_and_lists() {
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
    fn gateways_accept_one_address_of_each_family() {
        let read = |text: &str| serde_yaml::from_str::<Gateways>(text);
        assert_eq!(read("10.0.0.1").unwrap().0.len(), 1);
        assert_eq!(read("[10.0.0.1, 'fe80::1']").unwrap().0.len(), 2);
        assert!(read("[10.0.0.1, 10.0.0.2]").is_err() && read("nowhere").is_err());
    }
}

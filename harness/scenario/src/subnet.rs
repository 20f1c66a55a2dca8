//! Addresses of networks.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;

/// The address of a network: 10.0.3.0/24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Subnet {
    /// The first address.
    pub address: Ipv4Addr,
    /// The length of the network prefix, in bits.
    pub bits: u8,
}

impl TryFrom<String> for Subnet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parsed =
            parts.and_then(|(address, bits)| Some((address.parse().ok()?, bits.parse().ok()?)));
        match parsed {
            // QEMU's gateway has the address .2, and its DHCP server assigns addresses from .15.
            Some((address, bits @ 8..=27)) if u32::from(address) << bits == 0 => {
                Ok(Self { address, bits })
            }
            _ => Err(format!(
                "`{text}` is not a network; write its first address and a prefix of 8 to 27 bits, e.g. `10.0.3.0/24`"
            )),
        }
    }
}

impl Subnet {
    /// Whether both contain a common address.
    pub fn overlaps(&self, other: &Self) -> bool {
        let host = 32 - u32::from(self.bits.min(other.bits));
        u32::from(self.address) >> host == u32::from(other.address) >> host
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnet_overlaps_a_subnet_that_it_contains() {
        let read = |text: &str| Subnet::try_from(text.to_owned()).unwrap();
        let all = read("10.0.0.0/8");
        assert!(all.overlaps(&read("10.0.3.0/24")) && read("10.0.3.0/24").overlaps(&all));
        assert!(!read("10.0.3.0/24").overlaps(&read("10.0.4.0/24")));
    }

    #[test]
    fn subnet_is_refused_when_it_is_not_a_first_address_and_a_prefix() {
        let read = |text: &str| Subnet::try_from(text.to_owned());
        assert_eq!(read("10.0.3.0/24").unwrap().to_string(), "10.0.3.0/24");
        for bad in [
            "10.0.3.1/24",
            "10.0.3.0",
            "10.0.3.0/31",
            "10.0.3.0/+24 ",
            "net/24",
            "",
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains("is not a network"), "{error}");
        }
    }
}

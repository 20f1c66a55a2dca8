//! Steps that give the machine something from outside: a disk, a network card, the time of day.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::DiskFile;

/// Plugs something into the machine while it runs: one of `disk` and `network`. It is gone with the
/// machine, also at a power cut.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HotplugStep {
    /// An empty disk.
    pub disk: Option<DiskFile>,
    /// A network card, on a network of its own with this address (`10.0.3.0/24`): there is a gateway,
    /// which gives addresses by DHCP.
    pub network: Option<Subnet>,
}

/// What is plugged in.
pub enum Plugged<'s> {
    /// A disk.
    Disk(&'s DiskFile),
    /// A network card.
    Network(Subnet),
}

/// The address of a network, `10.0.3.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Subnet {
    /// The first of its addresses.
    pub address: Ipv4Addr,
    /// How many bits all of its addresses have in common.
    pub bits: u8,
}

impl TryFrom<String> for Subnet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parsed =
            parts.and_then(|(address, bits)| Some((address.parse().ok()?, bits.parse().ok()?)));
        match parsed {
            // QEMU has its gateway at .2 and gives addresses from .15 on.
            Some((address, bits @ 8..=27)) if u32::from(address) << bits == 0 => {
                Ok(Self { address, bits })
            }
            _ => Err(format!(
                "`{text}` is no network: write its first address and its bits (8 to 27), `10.0.3.0/24`"
            )),
        }
    }
}

impl Subnet {
    /// Whether some address belongs to both.
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

/// A time server (NTP) on this host, which knows the host's time and answers until the trial ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeServerStep {
    /// The file of the machine that its `ADDRESS:PORT` is written to.
    pub tell: String,
}

/// A name server (DNS) on this host, which answers until the trial ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameServerStep {
    /// The names that it knows, and their addresses. Others do not exist.
    pub names: BTreeMap<String, Ipv4Addr>,
    /// The file of the machine that its `ADDRESS:PORT` is written to.
    pub tell: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_overlaps_what_lies_in_it() {
        let read = |text: &str| Subnet::try_from(text.to_owned()).unwrap();
        let all = read("10.0.0.0/8");
        assert!(all.overlaps(&read("10.0.3.0/24")) && read("10.0.3.0/24").overlaps(&all));
        assert!(!read("10.0.3.0/24").overlaps(&read("10.0.4.0/24")));
    }

    #[test]
    fn a_network_is_its_first_address_and_its_bits() {
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
            assert!(error.contains("is no network"), "{error}");
        }
    }
}

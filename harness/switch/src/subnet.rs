//! The addresses of a network.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A hardware address (IEEE 802, 48 bits).
pub(crate) type Mac = [u8; 6];

/// A subnet in CIDR notation, with room for at least one machine and the DHCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    first: u32,
    prefix: u8,
}

/// Why a text is not a subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// It is not an IPv4 address, a slash and a number.
    #[error("`{0}` is not an IPv4 subnet; hint: use CIDR notation, for example 10.9.0.0/24")]
    Syntax(String),
    /// The address is not the first one of the subnet.
    #[error("`{given}` is not the first address of the subnet; hint: use {first}")]
    NotFirst {
        /// The text.
        given: String,
        /// The subnet that contains the address.
        first: Subnet,
    },
    /// The prefix is too short or too long.
    #[error("`{0}`: the prefix must be from 8 to 29")]
    Prefix(String),
}

impl Subnet {
    /// 10.9.0.0/24.
    pub(crate) const DEFAULT: Self = Self {
        first: u32::from_be_bytes([10, 9, 0, 0]),
        prefix: 24,
    };

    /// The address of a machine, counted from 1.
    pub fn machine(&self, number: u32) -> Option<Ipv4Addr> {
        let address = self.first.checked_add(number)?;
        (number > 0 && address < u32::from(self.server())).then(|| address.into())
    }

    /// The address of the DHCP server: the last one before the broadcast address.
    pub fn server(&self) -> Ipv4Addr {
        (u32::from(self.broadcast()) - 1).into()
    }

    /// The network mask.
    pub fn mask(&self) -> Ipv4Addr {
        (u32::MAX << (32 - self.prefix)).into()
    }

    /// The length of the prefix.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether two subnets have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mask = u32::from(self.mask()) & u32::from(other.mask());
        self.first & mask == other.first & mask
    }

    fn broadcast(&self) -> Ipv4Addr {
        (self.first | !u32::from(self.mask())).into()
    }
}

/// The hardware address that belongs to an IPv4 address: QEMU's prefix 52:54 (locally administered), then
/// the address. So a machine has the same one in each fork, and no two networks share one.
pub(crate) fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x52, 0x54, a, b, c, d]
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let syntax = || SubnetError::Syntax(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(syntax)?;
        let address: Ipv4Addr = address.parse().map_err(|_| syntax())?;
        let prefix: u8 = prefix.parse().map_err(|_| syntax())?;
        if !(8..=29).contains(&prefix) {
            return Err(SubnetError::Prefix(text.to_owned()));
        }
        let all = Self { first: 0, prefix };
        let first = u32::from(address) & u32::from(all.mask());
        let subnet = Self { first, prefix };
        if first == u32::from(address) {
            Ok(subnet)
        } else {
            let given = text.to_owned();
            Err(SubnetError::NotFirst {
                given,
                first: subnet,
            })
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_numbered_from_one_and_the_server_is_last() {
        let subnet: Subnet = "10.9.0.0/24".parse().unwrap();
        assert_eq!(subnet.machine(1), Some(Ipv4Addr::new(10, 9, 0, 1)));
        assert_eq!(subnet.machine(253), Some(Ipv4Addr::new(10, 9, 0, 253)));
        assert_eq!((subnet.machine(0), subnet.machine(254)), (None, None));
        assert_eq!(subnet.server(), Ipv4Addr::new(10, 9, 0, 254));
        assert_eq!(subnet.mask(), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(subnet.to_string(), "10.9.0.0/24");
        assert_eq!(subnet, Subnet::DEFAULT);
        assert_eq!(mac(Ipv4Addr::new(10, 9, 0, 1)), [0x52, 0x54, 10, 9, 0, 1]);
    }

    #[test]
    fn overlapping_subnets_are_found() {
        let subnet = |text: &str| text.parse::<Subnet>().unwrap();
        assert!(subnet("10.0.0.0/8").overlaps(&subnet("10.9.0.0/24")));
        assert!(subnet("10.9.0.0/24").overlaps(&subnet("10.0.0.0/8")));
        assert!(!subnet("10.9.0.0/24").overlaps(&subnet("10.9.1.0/24")));
    }

    #[test]
    fn a_bad_subnet_is_an_error_with_a_hint() {
        let why = |text: &str| text.parse::<Subnet>().unwrap_err().to_string();
        insta::assert_snapshot!(
            ["lan", "10.9.0.0", "10.9.0/24", "10.9.0.1/24", "10.9.0.0/30"].map(why).join("\n"),
            @"
        `lan` is not an IPv4 subnet; hint: use CIDR notation, for example 10.9.0.0/24
        `10.9.0.0` is not an IPv4 subnet; hint: use CIDR notation, for example 10.9.0.0/24
        `10.9.0/24` is not an IPv4 subnet; hint: use CIDR notation, for example 10.9.0.0/24
        `10.9.0.1/24` is not the first address of the subnet; hint: use 10.9.0.0/24
        `10.9.0.0/30`: the prefix must be from 8 to 29
        "
        );
    }
}

//! Name servers and search domains that IPv6 routers advertise (RFC 8106). The kernel itself configures
//! addresses and routes from router advertisements, and forwards these options in netlink messages
//! `RTM_NEWNDUSEROPT`, one for each option (net/ipv6/ndisc.c, `ndisc_ra_useropt`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use sys::netlink::{Family, Netlink, Received};

use super::lease::is_domain;

/// The multicast group `RTNLGRP_ND_USEROPT`, 20, as a bit mask (include/uapi/linux/rtnetlink.h).
const GROUP: u32 = 1 << 19;
/// `RTM_NEWNDUSEROPT`.
const MESSAGE: u16 = 68;
/// The sizes of `nlmsghdr` and of `nduseroptmsg` after it.
const HEADERS: usize = 16 + 16;
/// The types of the options (RFC 8106, 5.1 and 5.2).
const SERVERS: u8 = 25;
const DOMAINS: u8 = 31;
/// The maximum number of name servers and of domains: a router could advertise new ones without end.
const MAX_ENTRIES: usize = 8;

/// The name servers and domains of an interface, each with its expiry in seconds since the kernel
/// started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Advertised {
    servers: Vec<(Ipv6Addr, u64)>,
    domains: Vec<(String, u64)>,
}

/// An option of a router advertisement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RouterOption {
    /// The index of the interface.
    pub(crate) index: u32,
    lifetime: u32,
    servers: Vec<Ipv6Addr>,
    domains: Vec<String>,
}

impl Advertised {
    /// Adds or removes the entries of an option, and removes expired entries.
    pub(crate) fn apply(&mut self, option: RouterOption, now: u64) {
        let expiry = now + u64::from(option.lifetime);
        self.servers
            .retain(|(server, _)| !option.servers.contains(server));
        self.domains
            .retain(|(domain, _)| !option.domains.contains(domain));
        if option.lifetime > 0 {
            self.servers
                .extend(option.servers.into_iter().map(|one| (one, expiry)));
            self.domains
                .extend(option.domains.into_iter().map(|one| (one, expiry)));
        }
        self.servers.retain(|(_, expiry)| *expiry > now);
        self.domains.retain(|(_, expiry)| *expiry > now);
        self.servers.sort();
        self.servers.truncate(MAX_ENTRIES);
        self.domains.truncate(MAX_ENTRIES);
    }

    /// The name servers that have not expired, in the format of `resolv.conf`.
    pub(crate) fn servers<'a>(
        &'a self,
        interface: &'a str,
        now: u64,
    ) -> impl Iterator<Item = String> + 'a {
        let valid = self.servers.iter().filter(move |(_, expiry)| *expiry > now);
        valid.map(move |(server, _)| {
            if server.is_unicast_link_local() {
                // A link-local address needs the interface.
                format!("{server}%{interface}")
            } else {
                IpAddr::from(*server).to_string()
            }
        })
    }

    /// The domains that have not expired.
    pub(crate) fn domains(&self, now: u64) -> impl Iterator<Item = &str> {
        let valid = self.domains.iter().filter(move |(_, expiry)| *expiry > now);
        valid.map(|(domain, _)| domain.as_str())
    }

    /// The variables to store in a file.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let pair = |(entry, expiry): (String, &u64)| format!("{entry}@{expiry}");
        let servers = self
            .servers
            .iter()
            .map(|(one, expiry)| pair((one.to_string(), expiry)));
        let domains = self
            .domains
            .iter()
            .map(|(one, expiry)| pair((one.clone(), expiry)));
        [
            ("servers".into(), servers.collect::<Vec<_>>().join(" ")),
            ("domains".into(), domains.collect::<Vec<_>>().join(" ")),
        ]
        .into()
    }

    /// Parses what [`Advertised::variables`] returned.
    pub(crate) fn read(variables: &BTreeMap<String, String>) -> Self {
        let pairs = |name: &str| {
            let words = variables.get(name).map(String::as_str).unwrap_or_default();
            let pairs = words.split(' ').filter_map(|word| word.split_once('@'));
            pairs
                .filter_map(|(entry, expiry)| Some((entry.to_owned(), expiry.parse().ok()?)))
                .collect::<Vec<_>>()
        };
        let server = |(entry, expiry): (String, u64)| Some((entry.parse().ok()?, expiry));
        Self {
            servers: pairs("servers").into_iter().filter_map(server).collect(),
            domains: pairs("domains"),
        }
    }
}

/// Opens a socket that receives the options.
///
/// # Errors
/// The socket cannot be opened.
pub(crate) fn open() -> nix::Result<Netlink> {
    Netlink::open(Family::Route, GROUP)
}

/// Receives all options in the socket's queue.
pub(crate) fn receive_all(socket: &Netlink) -> Vec<RouterOption> {
    let mut all = Vec::new();
    loop {
        match socket.receive() {
            Ok(Received::Message(message)) => all.extend(parse(&message)),
            // Routers repeat options that were lost.
            Ok(Received::Overflow) => (),
            Ok(Received::Empty) | Err(_) => return all,
        }
    }
}

/// Parses a message, which has one option.
fn parse(message: &[u8]) -> Option<RouterOption> {
    let length = usize::try_from(u32::from_ne_bytes(message.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let message = message.get(..length)?;
    if kind != MESSAGE {
        return None;
    }
    // `nduseroptmsg`: family, padding, length of the options, interface index.
    let index = u32::from_ne_bytes(message.get(20..24)?.try_into().ok()?);
    parse_option(index, message.get(HEADERS..)?)
}

/// Parses an option: type, length in units of eight bytes, two reserved bytes, lifetime in seconds, and the
/// entries.
fn parse_option(index: u32, bytes: &[u8]) -> Option<RouterOption> {
    let length = usize::from(*bytes.get(1)?) * 8;
    let rest = bytes.get(8..length)?;
    let lifetime = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
    let mut option = RouterOption {
        index,
        lifetime,
        servers: Vec::new(),
        domains: Vec::new(),
    };
    match bytes[0] {
        SERVERS => option
            .servers
            .extend(rest.chunks_exact(16).filter_map(|address| {
                let address: [u8; 16] = address.try_into().ok()?;
                Some(Ipv6Addr::from(address))
            })),
        DOMAINS => option.domains = domains(rest),
        _ => return None,
    }
    Some(option)
}

/// Parses names in the format of DNS: labels with a length before each, and a zero after each name.
fn domains(mut bytes: &[u8]) -> Vec<String> {
    let (mut all, mut name) = (Vec::new(), Vec::new());
    while let Some((&length, rest)) = bytes.split_first() {
        let Some((label, rest)) = rest.split_at_checked(usize::from(length)) else {
            break;
        };
        bytes = rest;
        if length > 0 {
            name.push(String::from_utf8_lossy(label).into_owned());
            continue;
        }
        let whole = std::mem::take(&mut name).join(".");
        all.extend(Some(whole).filter(|whole| is_domain(whole)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message for interface 2, as the kernel sends it.
    fn message(option: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADERS + option.len()).unwrap();
        let mut all = length.to_ne_bytes().to_vec();
        all.extend(MESSAGE.to_ne_bytes());
        all.extend([0; 10]);
        all.extend([10, 0]);
        all.extend(u16::try_from(option.len()).unwrap().to_ne_bytes());
        all.extend(2_u32.to_ne_bytes());
        all.extend([134, 0, 0, 0, 0, 0, 0, 0]);
        all.extend(option);
        all
    }

    fn servers(lifetime: u32, addresses: &[&str]) -> Vec<u8> {
        let length = u8::try_from(1 + 2 * addresses.len()).unwrap();
        let mut all = vec![SERVERS, length, 0, 0];
        all.extend(lifetime.to_be_bytes());
        for address in addresses {
            all.extend(address.parse::<Ipv6Addr>().unwrap().octets());
        }
        all
    }

    #[test]
    fn servers_expire_when_their_lifetime_ends() {
        let mut advertised = Advertised::default();
        let both = message(&servers(60, &["fd00::53", "fe80::2"]));
        advertised.apply(parse(&both).unwrap(), 100);
        let valid =
            |advertised: &Advertised, now| advertised.servers("eth0", now).collect::<Vec<_>>();
        assert_eq!(valid(&advertised, 159), ["fd00::53", "fe80::2%eth0"]);
        assert!(valid(&advertised, 160).is_empty());
        advertised.apply(parse(&message(&servers(0, &["fd00::53"]))).unwrap(), 110);
        assert_eq!(valid(&advertised, 111), ["fe80::2%eth0"]);
        assert_eq!(Advertised::read(&advertised.variables()), advertised);
    }

    #[test]
    fn parse_reads_domains_as_labels_with_lengths() {
        let mut bytes = vec![DOMAINS, 4, 0, 0, 0, 0, 0, 60];
        bytes.extend(b"\x03lab\x07example\0\x02a/\x01b\0\0\0\0\0\0\0\0");
        let option = parse(&message(&bytes)).unwrap();
        assert_eq!(
            (option.index, option.domains),
            (2, vec!["lab.example".to_owned()])
        );
    }

    #[test]
    fn parse_returns_none_when_the_message_is_cut_short() {
        let whole = message(&servers(60, &["fd00::53"]));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(parse(&message(&[SERVERS, 0, 0, 0, 0, 0, 0, 0])), None);
    }

    #[test]
    fn apply_limits_the_number_of_servers() {
        let mut advertised = Advertised::default();
        for number in 0..100 {
            let address = format!("fd00::{number}");
            advertised.apply(parse(&message(&servers(60, &[&address]))).unwrap(), 0);
        }
        assert_eq!(advertised.servers("eth0", 1).count(), MAX_ENTRIES);
    }
}

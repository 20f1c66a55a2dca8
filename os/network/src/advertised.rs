//! Name servers and domains that IPv6 routers advertise (RFC 8106). The kernel makes addresses and routes
//! of what routers advertise by itself, and hands these options on: a netlink message `RTM_NEWNDUSEROPT`
//! for each (net/ipv6/ndisc.c, `ndisc_ra_useropt`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use sys::netlink::{Family, Netlink, Received};

use super::lease::is_domain;

/// The group `RTNLGRP_ND_USEROPT`, 20, as a bit (include/uapi/linux/rtnetlink.h).
const GROUP: u32 = 1 << 19;
/// `RTM_NEWNDUSEROPT`.
const MESSAGE: u16 = 68;
/// `nlmsghdr`, and `nduseroptmsg` after it.
const HEADERS: usize = 16 + 16;
/// Options (RFC 8106, 5.1 and 5.2).
const SERVERS: u8 = 25;
const DOMAINS: u8 = 31;
/// More than this nobody needs; a router could say new ones for ever.
const MOST: usize = 8;

/// What routers advertise on an interface, each with when it ends (seconds since the kernel began).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Advertised {
    servers: Vec<(Ipv6Addr, u64)>,
    domains: Vec<(String, u64)>,
}

/// An option of an advertisement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The kernel's number of the interface.
    pub(crate) index: u32,
    lifetime: u32,
    servers: Vec<Ipv6Addr>,
    domains: Vec<String>,
}

impl Advertised {
    /// Takes what was heard.
    pub(crate) fn hear(&mut self, heard: Heard, now: u64) {
        let ends = now + u64::from(heard.lifetime);
        self.servers
            .retain(|(server, _)| !heard.servers.contains(server));
        self.domains
            .retain(|(domain, _)| !heard.domains.contains(domain));
        if heard.lifetime > 0 {
            self.servers
                .extend(heard.servers.into_iter().map(|one| (one, ends)));
            self.domains
                .extend(heard.domains.into_iter().map(|one| (one, ends)));
        }
        self.servers.retain(|(_, ends)| *ends > now);
        self.domains.retain(|(_, ends)| *ends > now);
        self.servers.sort();
        self.servers.truncate(MOST);
        self.domains.truncate(MOST);
    }

    /// The name servers, as `resolv.conf` names them.
    pub(crate) fn servers<'a>(
        &'a self,
        interface: &'a str,
        now: u64,
    ) -> impl Iterator<Item = String> + 'a {
        let held = self.servers.iter().filter(move |(_, ends)| *ends > now);
        held.map(move |(server, _)| match server.is_unicast_link_local() {
            // Which one it is depends on the interface.
            true => format!("{server}%{interface}"),
            false => IpAddr::from(*server).to_string(),
        })
    }

    /// The domains.
    pub(crate) fn domains(&self, now: u64) -> impl Iterator<Item = &str> {
        let held = self.domains.iter().filter(move |(_, ends)| *ends > now);
        held.map(|(domain, _)| domain.as_str())
    }

    /// As it is kept in a file.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let pair = |(what, ends): (String, &u64)| format!("{what}@{ends}");
        let servers = self
            .servers
            .iter()
            .map(|(one, ends)| pair((one.to_string(), ends)));
        let domains = self
            .domains
            .iter()
            .map(|(one, ends)| pair((one.clone(), ends)));
        [
            ("servers".into(), servers.collect::<Vec<_>>().join(" ")),
            ("domains".into(), domains.collect::<Vec<_>>().join(" ")),
        ]
        .into()
    }

    /// From what [`Advertised::variables`] wrote.
    pub(crate) fn read(variables: &BTreeMap<String, String>) -> Self {
        let pairs = |name: &str| {
            let words = variables.get(name).map(String::as_str).unwrap_or_default();
            let pairs = words.split(' ').filter_map(|word| word.split_once('@'));
            pairs
                .filter_map(|(what, ends)| Some((what.to_owned(), ends.parse().ok()?)))
                .collect::<Vec<_>>()
        };
        let server = |(what, ends): (String, u64)| Some((what.parse().ok()?, ends));
        Self {
            servers: pairs("servers").into_iter().filter_map(server).collect(),
            domains: pairs("domains"),
        }
    }
}

/// Begins to listen.
///
/// # Errors
/// The kernel's.
pub(crate) fn open() -> nix::Result<Netlink> {
    Netlink::open(Family::Route, GROUP)
}

/// All that was heard so far.
pub(crate) fn heard(socket: &Netlink) -> Vec<Heard> {
    let mut all = Vec::new();
    loop {
        match socket.receive() {
            Ok(Received::Message(message)) => all.extend(parse(&message)),
            // Routers repeat what was lost.
            Ok(Received::Overflow) => (),
            Ok(Received::Empty) | Err(_) => return all,
        }
    }
}

/// One message has one option.
fn parse(message: &[u8]) -> Option<Heard> {
    let length = usize::try_from(u32::from_ne_bytes(message.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let message = message.get(..length)?;
    if kind != MESSAGE {
        return None;
    }
    // `nduseroptmsg`: family, a pad, the length of the options, the interface.
    let index = u32::from_ne_bytes(message.get(20..24)?.try_into().ok()?);
    option(index, message.get(HEADERS..)?)
}

/// Kind, length in eight bytes, two reserved bytes, lifetime in seconds, and what there is.
fn option(index: u32, bytes: &[u8]) -> Option<Heard> {
    let length = usize::from(*bytes.get(1)?) * 8;
    let rest = bytes.get(8..length)?;
    let lifetime = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
    let mut heard = Heard {
        index,
        lifetime,
        servers: Vec::new(),
        domains: Vec::new(),
    };
    match bytes[0] {
        SERVERS => heard
            .servers
            .extend(rest.chunks_exact(16).filter_map(|address| {
                let address: [u8; 16] = address.try_into().ok()?;
                Some(Ipv6Addr::from(address))
            })),
        DOMAINS => heard.domains = domains(rest),
        _ => return None,
    }
    Some(heard)
}

/// Names as in DNS: labels, each after its length, and a zero at the end of each name.
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

    /// As the kernel sends it, of interface 2.
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
    fn name_servers_hold_for_as_long_as_they_were_advertised() {
        let mut advertised = Advertised::default();
        let both = message(&servers(60, &["fd00::53", "fe80::2"]));
        advertised.hear(parse(&both).unwrap(), 100);
        let held =
            |advertised: &Advertised, now| advertised.servers("eth0", now).collect::<Vec<_>>();
        assert_eq!(held(&advertised, 159), ["fd00::53", "fe80::2%eth0"]);
        assert!(held(&advertised, 160).is_empty());
        advertised.hear(parse(&message(&servers(0, &["fd00::53"]))).unwrap(), 110);
        assert_eq!(held(&advertised, 111), ["fe80::2%eth0"]);
        assert_eq!(Advertised::read(&advertised.variables()), advertised);
    }

    #[test]
    fn domains_are_labels_with_their_lengths() {
        let mut option = vec![DOMAINS, 4, 0, 0, 0, 0, 0, 60];
        option.extend(b"\x03lab\x07example\0\x02a/\x01b\0\0\0\0\0\0\0\0");
        let heard = parse(&message(&option)).unwrap();
        assert_eq!(
            (heard.index, heard.domains),
            (2, vec!["lab.example".to_owned()])
        );
    }

    #[test]
    fn what_is_cut_short_says_nothing() {
        let whole = message(&servers(60, &["fd00::53"]));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(parse(&message(&[SERVERS, 0, 0, 0, 0, 0, 0, 0])), None);
    }

    #[test]
    fn a_router_cannot_fill_the_memory() {
        let mut advertised = Advertised::default();
        for number in 0..100 {
            let address = format!("fd00::{number}");
            advertised.hear(parse(&message(&servers(60, &[&address]))).unwrap(), 0);
        }
        assert_eq!(advertised.servers("eth0", 1).count(), MOST);
    }
}

//! A DHCP lease: read from udhcpc, saved to a file, and applied with `ip` commands.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use config::Interface;

use super::commands::{routes, words};

/// The minimum MTU. Every IPv4 host must accept packets of this size (RFC 791); with less nothing works.
const MIN_MTU: u32 = 576;

/// A DHCP lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    address: Ipv4Addr,
    /// The length of the network prefix.
    bits: u8,
    broadcast: Option<Ipv4Addr>,
    /// The default gateway.
    router: Option<Ipv4Addr>,
    /// Routes to other networks (options 121, 249 and 33), each `ADDRESS/BITS` and its gateway.
    routes: Vec<(String, Ipv4Addr)>,
    mtu: Option<u32>,
    pub(crate) name_servers: Vec<IpAddr>,
    pub(crate) search: Vec<String>,
    /// The host name that the server assigns.
    pub(crate) hostname: Option<String>,
    /// When it expires, in seconds since the kernel started.
    pub(crate) ends: u64,
}

impl Lease {
    /// Reads the variables that udhcpc sets (networking/udhcp/dhcpc.c of busybox). They are not trusted:
    /// invalid values are ignored. `now` is in seconds since the kernel started.
    pub(crate) fn read(variables: &BTreeMap<String, String>, now: u64) -> Option<Self> {
        let text = |name: &str| variables.get(name).map(String::as_str).unwrap_or_default();
        let words = |name: &str| text(name).split_whitespace();
        let bits = text("mask").parse().ok().filter(|bits| *bits <= 32);
        let (default, mut all) = classless(words("staticroutes").chain(words("msstaticroutes")));
        let has_classless = default.is_some() || !all.is_empty();
        if !has_classless {
            all = single_hosts(words("routes"));
        }
        let router = words("router").find_map(|word| word.parse().ok());
        let mut search: Vec<_> = words("search").filter(|name| is_domain(name)).collect();
        if search.is_empty() {
            search.extend(words("domain").filter(|name| is_domain(name)));
        }
        let lease: u64 = text("lease").parse().unwrap_or(u64::from(u32::MAX));
        Some(Self {
            address: text("ip").parse().ok()?,
            bits: bits.unwrap_or(24),
            broadcast: text("broadcast").parse().ok(),
            // Classless routes include the default route and replace the router option (RFC 3442).
            router: if has_classless { default } else { router },
            routes: all,
            mtu: text("mtu").parse().ok().filter(|mtu| *mtu >= MIN_MTU),
            name_servers: words("dns").filter_map(|word| word.parse().ok()).collect(),
            search: search.into_iter().map(str::to_owned).collect(),
            hostname: Some(text("hostname"))
                .filter(|name| is_domain(name))
                .map(str::to_owned),
            ends: now.saturating_add(lease),
        })
    }

    /// The `ip` commands that apply the lease and remove the earlier one.
    pub(crate) fn commands(
        &self,
        before: Option<&Self>,
        name: &str,
        index: u32,
        interface: &Interface,
    ) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        let mut add = |text: String| all.push(words(&text));
        if let Some(before) = before {
            for (to, via) in &before.routes {
                if !self.routes.contains(&(to.clone(), *via)) {
                    add(format!("route del {to} via {via} dev {name}"));
                }
            }
            if (before.address, before.bits) != (self.address, self.bits) {
                add(format!(
                    "addr del {}/{} dev {name}",
                    before.address, before.bits
                ));
            }
        }
        if let (Some(mtu), None) = (self.mtu, interface.mtu) {
            add(format!("link set dev {name} mtu {mtu}"));
        }
        let broadcast = self
            .broadcast
            .map(|address| format!("broadcast {address} "));
        add(format!(
            "addr replace {}/{} {}dev {name}",
            self.address,
            self.bits,
            broadcast.unwrap_or_default()
        ));
        let metric = interface.metric(name, index);
        if let Some(router) = self
            .router
            .filter(|_| interface.default_route != Some(false))
        {
            if !self.reaches(router) {
                add(format!(
                    "route replace {router}/32 dev {name} metric {metric}"
                ));
            }
            add(format!(
                "route replace default via {router} dev {name} metric {metric}"
            ));
        }
        for (to, via) in &self.routes {
            // `0.0.0.0` means that the network is on the interface's own link.
            let via = if via.is_unspecified() {
                String::new()
            } else {
                format!("via {via} ")
            };
            add(format!(
                "route replace {to} {via}dev {name} metric {metric}"
            ));
        }
        all.extend(routes(name, interface, metric));
        all
    }

    /// Whether an address is in the lease's network. Some clouds lease single addresses (`/32`).
    fn reaches(&self, address: Ipv4Addr) -> bool {
        let host = 32 - u32::from(self.bits);
        let network = |address: Ipv4Addr| u64::from(u32::from(address)) >> host;
        network(address) == network(self.address)
    }

    /// The variables of the saved file, in the format of udhcpc.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let joined = |all: &[String]| all.join(" ");
        let routes = self.routes.iter().map(|(to, via)| format!("{to} {via}"));
        let routes: Vec<_> = routes.collect();
        let servers: Vec<_> = self.name_servers.iter().map(IpAddr::to_string).collect();
        let all = [
            ("ip", Some(self.address.to_string())),
            ("mask", Some(self.bits.to_string())),
            ("broadcast", self.broadcast.map(|one| one.to_string())),
            ("router", self.router.map(|one| one.to_string())),
            ("staticroutes", Some(joined(&routes))),
            ("mtu", self.mtu.map(|one| one.to_string())),
            ("dns", Some(joined(&servers))),
            ("search", Some(joined(&self.search))),
            ("hostname", self.hostname.clone()),
            ("lease", Some(self.ends.to_string())),
        ];
        let all = all
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        all.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Reads the variables that [`Lease::variables`] returned.
    pub(crate) fn read_saved(variables: &BTreeMap<String, String>) -> Option<Self> {
        let saved = Self::read(variables, 0)?;
        let router = variables.get("router").and_then(|text| text.parse().ok());
        Some(Self { router, ..saved })
    }
}

/// The default gateway, and pairs of a network and its gateway.
fn classless<'t>(
    words: impl Iterator<Item = &'t str>,
) -> (Option<Ipv4Addr>, Vec<(String, Ipv4Addr)>) {
    let words: Vec<_> = words.collect();
    let (mut default, mut all) = (None, Vec::new());
    for pair in words.chunks_exact(2) {
        let (Ok(to), Ok(via)) = (pair[0].parse::<config::Address>(), pair[1].parse()) else {
            continue;
        };
        if !to.is_ipv4() {
            continue;
        }
        if to.to_string() == "0.0.0.0/0" {
            default.get_or_insert(via);
        } else if !all.iter().any(|(other, _)| *other == to.to_string()) {
            all.push((to.to_string(), via));
        }
    }
    (default, all)
}

/// Pairs of a single host and its gateway (option 33).
fn single_hosts<'t>(words: impl Iterator<Item = &'t str>) -> Vec<(String, Ipv4Addr)> {
    let words: Vec<_> = words.collect();
    let pair = |pair: &[&str]| {
        let host: Ipv4Addr = pair[0]
            .parse()
            .ok()
            .filter(|host: &Ipv4Addr| !host.is_unspecified())?;
        Some((format!("{host}/32"), pair[1].parse().ok()?))
    };
    words.chunks_exact(2).filter_map(pair).collect()
}

/// Whether a text is a domain name that is safe in `resolv.conf`: labels of letters, digits, hyphens and
/// underscores.
pub(crate) fn is_domain(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    (1..=253).contains(&name.len()) && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !label.is_empty() && !label.starts_with('-') && label.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Lease {
        let variables = text.split(';').map(|pair| pair.split_once('=').unwrap());
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Lease::read(&variables.collect(), 10).unwrap()
    }

    fn commands(lease: &Lease, before: Option<&Lease>, interface: &str) -> Vec<String> {
        let interface: Interface = serde_yaml::from_str(interface).unwrap();
        let all = lease.commands(before, "eth1", 3, &interface);
        all.iter().map(|words| words.join(" ")).collect()
    }

    const EXAMPLE: &str = "ip=10.0.4.15;mask=24;router=10.0.4.2 10.0.4.3;dns=10.0.4.9;search=a.example b.example;\
                         domain=other.example;hostname=given;lease=100;mtu=1400";

    #[test]
    fn lease_sets_address_and_default_route() {
        let lease = read(EXAMPLE);
        assert_eq!(lease.search, ["a.example", "b.example"]);
        assert_eq!(
            (lease.hostname.as_deref(), lease.ends),
            (Some("given"), 110)
        );
        assert_eq!(
            commands(&lease, None, "{}"),
            [
                "link set dev eth1 mtu 1400",
                "addr replace 10.0.4.15/24 dev eth1",
                "route replace default via 10.0.4.2 dev eth1 metric 101",
            ]
        );
    }

    #[test]
    fn configuration_overrides_the_lease() {
        let own = "{ default_route: false, mtu: 1300, metric: 7, routes: [{ to: 10.8.0.0/16, via: 10.0.4.3 }] }";
        assert_eq!(
            commands(&read(EXAMPLE), None, own),
            [
                "addr replace 10.0.4.15/24 dev eth1",
                "route replace 10.8.0.0/16 via 10.0.4.3 dev eth1 metric 7",
            ]
        );
    }

    #[test]
    fn classless_routes_replace_the_router_option() {
        let text = "ip=10.0.4.15;mask=32;router=10.0.4.9;staticroutes=0.0.0.0/0 10.0.4.1 10.7.0.0/16 10.0.4.2";
        let lease = read(text);
        assert_eq!(
            commands(&lease, None, "{}"),
            [
                "addr replace 10.0.4.15/32 dev eth1",
                "route replace 10.0.4.1/32 dev eth1 metric 101",
                "route replace default via 10.0.4.1 dev eth1 metric 101",
                "route replace 10.7.0.0/16 via 10.0.4.2 dev eth1 metric 101",
            ]
        );
        let hosts = read("ip=10.0.4.15;routes=10.7.0.1 10.0.4.2;router=10.0.4.3");
        assert_eq!(
            hosts.routes,
            [("10.7.0.1/32".into(), "10.0.4.2".parse().unwrap())]
        );
        assert_eq!(hosts.router, "10.0.4.3".parse().ok());
    }

    #[test]
    fn lease_removes_address_and_routes_of_the_earlier_lease() {
        let before = read("ip=10.0.4.14;mask=24;staticroutes=10.7.0.0/16 10.0.4.2");
        let commands = commands(&read("ip=10.0.4.15;mask=24"), Some(&before), "{}");
        assert_eq!(
            commands[..2],
            [
                "route del 10.7.0.0/16 via 10.0.4.2 dev eth1",
                "addr del 10.0.4.14/24 dev eth1"
            ]
        );
    }

    #[test]
    fn saved_lease_survives_a_round_trip() {
        for text in [
            EXAMPLE,
            "ip=10.0.4.15;mask=32;staticroutes=0.0.0.0/0 10.0.4.1 10.7.0.0/16 10.0.4.2",
            "ip=10.0.4.15;routes=10.7.0.1 10.0.4.2;router=10.0.4.3",
        ] {
            let lease = read(text);
            assert_eq!(Lease::read_saved(&lease.variables()), Some(lease), "{text}");
        }
    }

    #[test]
    fn invalid_values_of_the_server_are_ignored() {
        let text = "ip=10.0.4.15;mask=99;router=x;dns=10.0.4.9 $(reboot);search=a b/c;hostname=a b;mtu=68;\
                    staticroutes=10.7.0.0/16 x 10.8.0.0/99 10.0.4.1";
        let lease = read(text);
        assert_eq!((lease.bits, lease.router, lease.mtu), (24, None, None));
        assert_eq!((lease.name_servers.len(), lease.hostname), (1, None));
        assert_eq!(
            (lease.search, lease.routes.len()),
            (vec!["a".to_owned()], 0)
        );
        assert_eq!(Lease::read(&BTreeMap::new(), 0), None);
    }
}

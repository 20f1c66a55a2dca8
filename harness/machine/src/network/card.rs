//! The QEMU networks of network cards: settings of their DHCP server and router.

use serde::{Deserialize, Serialize};

/// The network of a card. Unset fields have QEMU's default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardNetwork {
    /// The subnet, for example `10.0.4.0/24`; the default is `10.0.2.0/24`.
    pub subnet: Option<String>,
    /// Whether leases contain a router and a name server. Without them the guest reaches no address there.
    pub router: bool,
    /// The name server in leases (DHCP option 6).
    pub name_server: Option<String>,
    /// The domain in leases (option 15).
    pub domain: Option<String>,
    /// The search domains in leases (option 119).
    pub search: Vec<String>,
    /// The host name in leases (option 12).
    pub hostname: Option<String>,
    /// Whether the router sends IPv6 router advertisements.
    pub ipv6: bool,
}

impl CardNetwork {
    /// The address of this host in the network: the second one, as in libslirp (`net_slirp_init` in QEMU's
    /// `net/slirp.c`).
    pub(crate) fn host(&self) -> Option<std::net::Ipv4Addr> {
        let (first, _) = self.subnet.as_deref()?.split_once('/')?;
        let first: std::net::Ipv4Addr = first.parse().ok()?;
        Some((u32::from(first) + 2).into())
    }
}

impl Default for CardNetwork {
    fn default() -> Self {
        Self {
            subnet: None,
            router: true,
            name_server: None,
            domain: None,
            search: Vec::new(),
            hostname: None,
            ipv6: true,
        }
    }
}

impl CardNetwork {
    /// The options of `-netdev user` (qemu-options.hx), without defaults.
    pub(crate) fn options(&self) -> Vec<String> {
        let text = |name: &str, value: &Option<String>| {
            let value = value.as_ref()?;
            Some(format!("{name}={value}"))
        };
        let mut all: Vec<String> = [
            text("net", &self.subnet),
            text("dns", &self.name_server),
            text("domainname", &self.domain),
            text("hostname", &self.hostname),
        ]
        .into_iter()
        .flatten()
        .collect();
        all.extend(
            self.search
                .iter()
                .map(|domain| format!("dnssearch={domain}")),
        );
        // libslirp sends a router and a name server only if the network is not restricted (src/bootp.c).
        all.extend((!self.router).then(|| "restrict=on".into()));
        all.extend((!self.ipv6).then(|| "ipv6=off".into()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_network_has_no_options() {
        assert!(CardNetwork::default().options().is_empty());
    }

    #[test]
    fn each_setting_becomes_an_option() {
        let network = CardNetwork {
            subnet: Some("10.0.4.0/24".into()),
            router: false,
            name_server: Some("10.0.4.9".into()),
            domain: Some("example".into()),
            search: vec!["a.example".into(), "b.example".into()],
            hostname: Some("given".into()),
            ipv6: false,
        };
        assert_eq!(
            network.options().join(","),
            "net=10.0.4.0/24,dns=10.0.4.9,domainname=example,hostname=given,\
             dnssearch=a.example,dnssearch=b.example,restrict=on,ipv6=off"
        );
    }
}

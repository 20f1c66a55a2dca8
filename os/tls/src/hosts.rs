//! The names and addresses of this machine.

use std::collections::BTreeSet;
use std::net::IpAddr;

use x509_parser::extensions::GeneralName;

/// The first name of a certificate that the machine generated for itself.
pub(crate) const LOCALHOST: &str = "localhost";

/// The names and addresses in a certificate, in order (RFC 5280, 4.2.1.6).
pub(crate) fn of_certificate(cert: &str) -> Option<Vec<String>> {
    let der = pem::parse(cert).ok()?;
    let (_, cert) = x509_parser::parse_x509_certificate(der.contents()).ok()?;
    let names = cert.subject_alternative_name().ok()??.value;
    Some(names.general_names.iter().filter_map(host).collect())
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The names and the current addresses of this machine.
pub(crate) fn of_this_machine() -> Vec<String> {
    let mut hosts = vec![LOCALHOST.to_owned()];
    if let Ok(name) = nix::unistd::gethostname() {
        hosts.extend(name.into_string());
    }
    let addresses: BTreeSet<String> = nix::ifaddrs::getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| v4.ip().to_string());
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().to_string()))
        })
        .collect();
    hosts.extend(addresses);
    // The loopback interface may not be up yet.
    with_loopback(hosts)
}

/// Adds the names and addresses that each machine has for itself, and removes duplicates.
pub(crate) fn with_loopback(mut hosts: Vec<String>) -> Vec<String> {
    hosts.extend([LOCALHOST, "127.0.0.1", "::1"].map(str::to_owned));
    let mut seen = BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

#[cfg(test)]
mod tests {
    #[test]
    fn hosts_contain_localhost_and_each_address_once() {
        let hosts = super::of_this_machine();
        assert_eq!(hosts[0], "localhost");
        assert_eq!(hosts.iter().filter(|host| *host == "127.0.0.1").count(), 1);
    }
}

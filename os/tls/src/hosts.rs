//! What this machine is known by.

use std::collections::BTreeSet;

/// Its own names and the addresses that it has now.
pub fn of_this_machine() -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned()];
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
    // Also where the interface is not up yet.
    let loopback = ["127.0.0.1".to_owned(), "::1".to_owned()];
    hosts.extend(addresses.into_iter().chain(loopback));
    let mut seen = BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_machine_is_known_by_its_own_address() {
        let hosts = super::of_this_machine();
        assert_eq!(hosts[0], "localhost");
        assert_eq!(hosts.iter().filter(|host| *host == "127.0.0.1").count(), 1);
    }
}

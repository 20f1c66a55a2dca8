//! The name servers of the configuration, in the place of DHCP's.

use config::Dns;

const FILE: &str = "/etc/resolv.conf";

/// Writes them, or leaves the file to DHCP. Written in place: it is mounted into other containers, and
/// a renamed file would not reach them.
pub fn write(dns: &Dns) -> Result<(), String> {
    let has = std::fs::read_to_string(FILE).unwrap_or_default();
    match next(&has, dns) {
        Some(text) => std::fs::write(FILE, text).map_err(|error| format!("{FILE}: {error}")),
        None => Ok(()),
    }
}

/// What is to be in the file, where that is something else than it has.
fn next(has: &str, dns: &Dns) -> Option<String> {
    match dns.resolv_conf() {
        Some(text) => (text != has).then_some(text),
        // What an earlier configuration said holds no longer, and DHCP has not spoken yet.
        None => config::Dns::is_configured(has).then(String::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dhcp_wrote_stays_until_the_configuration_says_something() {
        let ours = Dns {
            nameservers: vec!["1.1.1.1".into()],
            ..Dns::default()
        };
        let written = next("nameserver 10.0.2.3\n", &ours).unwrap();
        assert!(written.ends_with("nameserver 1.1.1.1\n"));
        assert_eq!(next(&written, &ours), None);
        assert_eq!(next(&written, &Dns::default()).as_deref(), Some(""));
        assert_eq!(next("nameserver 10.0.2.3\n", &Dns::default()), None);
    }
}

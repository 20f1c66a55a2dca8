//! The key `registries`: where the engines pull images from, and their credentials.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The registries that the engines use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registries {
    /// Mirrors of Docker Hub, which are tried first: `https://HOST[:PORT]`, or `http://…`.
    pub mirrors: Vec<Mirror>,
    /// Registries that may use HTTP, or TLS with any certificate: `HOST[:PORT]` or `NETWORK/BITS`.
    pub insecure: Vec<Host>,
    /// Credentials by registry, `HOST[:PORT]`; `docker.io` is Docker Hub and its mirrors.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<Host, Credentials>,
}

/// A user name and a password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}:…", self.username)
    }
}

/// The URL of a mirror. An engine does not start with an invalid one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mirror(String);

/// A host, a host and a port, or a network in CIDR notation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl TryFrom<String> for Mirror {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let schemes = ["https://", "http://"];
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        match rest.map(|rest| rest.trim_end_matches('/')) {
            Some(host) if is_host(host) => Ok(Self(text)),
            _ => Err(format!(
                "`{text}` is not a mirror; hint: write `https://HOST` or `https://HOST:PORT`"
            )),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bits = text.split_once('/').map(|(_, bits)| digits::<u8>(bits));
        let host = text.split('/').next().unwrap_or_default();
        let good = match bits {
            None => is_host(host),
            Some(bits) => {
                let address = host.parse::<std::net::IpAddr>();
                let most = address
                    .as_ref()
                    .map_or(0, |one| if one.is_ipv4() { 32 } else { 128 });
                address.is_ok() && bits.is_some_and(|bits| bits <= most)
            }
        };
        if good {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is not a registry; hint: write `HOST`, `HOST:PORT` or `NETWORK/BITS`"
        ))
    }
}

impl From<Mirror> for String {
    fn from(mirror: Mirror) -> Self {
        mirror.0
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

/// Whether a text is a host with an optional port, as the engines define it (`DomainRegexp` of
/// `distribution/reference`). `dockerd --validate` accepts other texts, and then the engine exits when it
/// starts.
fn is_host(text: &str) -> bool {
    let (host, port) = text
        .split_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)));
    host.split('.').all(is_label) && port.is_none_or(|port| digits(port) > Some(0_u16))
}

/// Whether a text consists of letters, digits, and hyphens between them.
fn is_label(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(letter) && !text.starts_with('-') && !text.ends_with('-')
}

/// Parses a number that consists of digits only; Rust would also accept a sign.
fn digits<N: FromStr>(text: &str) -> Option<N> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// The registry of images without a registry in their names.
const DOCKER_HUB: &str = "docker.io";

impl Registries {
    /// The credentials for the registry of an image.
    pub fn credentials_for(&self, image: &str) -> Option<&Credentials> {
        let first = image.split_once('/').map(|(first, _)| first);
        // Docker's rule to tell a host from a user of Docker Hub.
        let named = first.filter(|first| first.contains(['.', ':']) || *first == "localhost");
        let host = named.unwrap_or(DOCKER_HUB);
        self.credentials
            .iter()
            .find_map(|(key, one)| (key.0 == host).then_some(one))
    }

    /// Adds the registry that an engine's option names. Returns `None` if the option is not about
    /// registries.
    pub(crate) fn take(&mut self, option: &str, value: &str) -> Option<Result<(), String>> {
        let text = value.to_owned();
        Some(match option {
            "registry-mirror" => Mirror::try_from(text).map(|mirror| self.mirrors.push(mirror)),
            "insecure-registry" => Host::try_from(text).map(|host| self.insecure.push(host)),
            _ => return None,
        })
    }

    /// The file that the engines read (`dockerd --config-file`). It contains no secrets.
    pub(crate) fn engine_settings(&self) -> String {
        let quoted = |list: Vec<String>| {
            let list: Vec<_> = list.iter().map(|one| format!("\"{one}\"")).collect();
            list.join(", ")
        };
        // Hosts contain no characters that JSON escapes.
        let mirrors = quoted(self.mirrors.iter().cloned().map(String::from).collect());
        let insecure = quoted(self.insecure.iter().cloned().map(String::from).collect());
        format!("{{\"registry-mirrors\": [{mirrors}], \"insecure-registries\": [{insecure}]}}\n")
    }
}

/// The file that system-docker reads.
pub const ENGINE_SETTINGS: &str = "/run/engine-registries.json";

/// The file that the user's Docker reads. It also contains the user's `daemon.json` and the current value
/// of `live-restore`.
pub const USER_ENGINE_SETTINGS: &str = "/run/user-engine.json";

/// Paths of the user's `daemon.json`; only the second one persists across a reboot.
pub const DAEMON_JSON: [&str; 2] = [
    "/etc/docker/daemon.json",
    "/var/lib/rancher/conf/daemon.json",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Registries, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn registry_is_rejected_when_an_engine_would_not_start_with_it() {
        for good in ["https://a.example", "http://10.0.2.100:5000/"] {
            assert!(read(&format!("mirrors: ['{good}']")).is_ok(), "{good}");
        }
        for bad in [
            "a.example",
            "https://",
            "https://u@a",
            "https://a/b",
            "https://a?b",
            "ftp://a",
            "https://a:0",
            "https://a:+5",
        ] {
            assert!(
                read(&format!("mirrors: ['{bad}']"))
                    .unwrap_err()
                    .contains("is not a mirror"),
                "{bad}"
            );
        }
        for good in ["a.example", "a:5000", "10.0.0.0/8"] {
            assert!(read(&format!("insecure: ['{good}']")).is_ok(), "{good}");
        }
        let no_hosts = [
            "http://a", "a/b", "a b", "a:x", "a:+5", "\"", "a-", "a.", "a..b", ".a",
        ];
        let no_networks = ["10.0.0.0/33", "10.0.0.0/+8"];
        for bad in no_hosts.iter().chain(&no_networks) {
            assert!(read(&format!("insecure: ['{bad}']")).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_match_the_registry_of_the_image_and_are_not_printed() {
        let text = "credentials: {a:5000: {username: me, password: geheim}, docker.io: {username: hub, password: x}}";
        let registries = read(text).unwrap();
        let of = |image| {
            registries
                .credentials_for(image)
                .map(|one| one.username.as_str())
        };
        assert_eq!(of("a:5000/b/c:1"), Some("me"));
        assert_eq!(of("rancher/os-console:1"), Some("hub"));
        assert_eq!(of("b.example/c"), None);
        assert!(!format!("{registries:?}").contains("geheim"));
        assert!(!registries.engine_settings().contains("geheim"));
    }
}

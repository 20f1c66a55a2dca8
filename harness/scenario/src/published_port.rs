//! Published ports of containers, in the syntax of Docker.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A port of the machine that is forwarded to a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublishedPort {
    /// The address of the machine; `None` for all of them.
    pub address: Option<String>,
    /// The port of the machine.
    pub outside: u16,
    /// The port of the container with its protocol (`80/tcp`).
    pub inside: String,
}

impl TryFrom<String> for PublishedPort {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parsed = || {
            let (ports, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
            let (outside, inside) = ports.rsplit_once(':')?;
            let (address, outside) = match outside.rsplit_once(':') {
                Some((address, outside)) => (Some(address.to_owned()), outside),
                None => (None, outside),
            };
            let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
            let known = ["tcp", "udp", "sctp"].contains(&protocol);
            Some(Self {
                address,
                outside: port(outside)?,
                inside: format!("{}/{protocol}", port(inside)?),
            })
            .filter(|_| known)
        };
        parsed().ok_or_else(|| {
            format!("`{text}` is not a published port; write `8080:80` or `127.0.0.1:5353:53/udp`")
        })
    }
}

impl JsonSchema for PublishedPort {
    fn schema_name() -> Cow<'static, str> {
        "PublishedPort".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A port of the machine and a port of the container: 8080:80, 127.0.0.1:5353:53/udp.",
            "pattern": "^(.+:)?[0-9]+:[0-9]+(/(tcp|udp|sctp))?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_port_parses_the_syntax_of_docker() {
        let read = |text: &str| PublishedPort::try_from(text.to_owned());
        let port = |address: Option<&str>, outside, inside: &str| PublishedPort {
            address: address.map(str::to_owned),
            outside,
            inside: inside.into(),
        };
        assert_eq!(read("8080:80"), Ok(port(None, 8080, "80/tcp")));
        let dns = port(Some("127.0.0.1"), 5353, "53/udp");
        assert_eq!(read("127.0.0.1:5353:53/udp"), Ok(dns));
        for wrong in ["80", "0:80", "8080:http", "1:2/icmp", "70000:80"] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("write `8080:80`"), "{error}");
        }
    }
}

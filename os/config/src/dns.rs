//! Name servers: a list, or a mapping of name servers and search domains.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The first line of a `resolv.conf` from the configuration, for people.
const MARK: &str = "# from the configuration";

/// Name servers that are asked whatever DHCP says; none leaves it to DHCP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Addresses, the first asked first.
    pub nameservers: Vec<String>,
    /// Domains in which a name without a dot is looked up.
    pub search: Vec<String>,
}

impl Dns {
    /// The text of `/etc/resolv.conf`, or `None` where DHCP has the say.
    pub fn resolv_conf(&self) -> Option<String> {
        if self.nameservers.is_empty() {
            return None;
        }
        let search = match self.search.join(" ") {
            none if none.is_empty() => none,
            domains => format!("search {domains}\n"),
        };
        let servers = self.nameservers.iter();
        Some(
            format!("{MARK}\n{search}")
                + &servers
                    .map(|server| format!("nameserver {server}\n"))
                    .collect::<String>(),
        )
    }
}

/// The longer form.
#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Form {
    nameservers: Vec<String>,
    search: Vec<String>,
}

impl Serialize for Dns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.search.is_empty() {
            return self.nameservers.serialize(serializer);
        }
        let form = Form {
            nameservers: self.nameservers.clone(),
            search: self.search.clone(),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Dns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Dns;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Dns, A::Error> {
        Ok(Dns {
            nameservers: Vec::deserialize(SeqAccessDeserializer::new(items))?,
            search: Vec::new(),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Dns, A::Error> {
        let form = Form::deserialize(MapAccessDeserializer::new(entries))?;
        Ok(Dns {
            nameservers: form.nameservers,
            search: form.search,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_written() {
        for text in [
            "- 8.8.8.8\n",
            "nameservers:\n- 8.8.8.8\nsearch:\n- example.org\n",
        ] {
            let dns: Dns = serde_yaml::from_str(text).unwrap();
            assert_eq!(dns.nameservers, ["8.8.8.8"]);
            assert_eq!(serde_yaml::to_string(&dns).unwrap(), text);
        }
    }

    #[test]
    fn without_name_servers_dhcp_has_the_say() {
        let mut dns = Dns::default();
        assert_eq!(dns.resolv_conf(), None);
        dns.nameservers = vec!["1.1.1.1".into()];
        dns.search = vec!["a.org".into(), "b.org".into()];
        assert_eq!(
            dns.resolv_conf().unwrap(),
            "# from the configuration\nsearch a.org b.org\nnameserver 1.1.1.1\n"
        );
    }
}

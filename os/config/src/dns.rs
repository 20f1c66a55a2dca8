//! DNS settings: a list of name servers, or a mapping with name servers and search domains.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The first line of a `resolv.conf` that is made from the configuration.
const HEADER: &str = "# from the configuration";

/// DNS settings that override the ones from DHCP. Without name servers, DHCP sets them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Addresses of name servers in the order in which they are queried.
    pub nameservers: Vec<String>,
    /// Search domains for names without a dot.
    pub search: Vec<String>,
}

impl Dns {
    /// The text of `/etc/resolv.conf`, or `None` if DHCP sets the name servers.
    pub fn resolv_conf(&self) -> Option<String> {
        if self.nameservers.is_empty() {
            return None;
        }
        let mut text = format!("{HEADER}\n");
        if !self.search.is_empty() {
            text += &format!("search {}\n", self.search.join(" "));
        }
        for server in &self.nameservers {
            text += &format!("nameserver {server}\n");
        }
        Some(text)
    }
}

/// The form with search domains.
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
        deserializer.deserialize_any(ListOrMapping)
    }
}

struct ListOrMapping;

impl<'de> Visitor<'de> for ListOrMapping {
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
    fn dns_reads_and_writes_both_forms() {
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
    fn resolv_conf_is_none_when_no_name_server_is_set() {
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

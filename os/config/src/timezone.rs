//! The time zone, as `timezone` names it.

use serde::{Deserialize, Serialize};

/// A name of the tz database, such as `Europe/Berlin`. Whether there is such a zone is known only where
/// the database is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timezone(String);

impl Timezone {
    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Default for Timezone {
    fn default() -> Self {
        Self("UTC".into())
    }
}

impl TryFrom<String> for Timezone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
        // A part of a path: neither empty nor one that leads elsewhere.
        let part = |part: &str| !part.is_empty() && part.bytes().all(letter);
        if text.split('/').all(part) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is no time zone; write a name such as `Europe/Berlin`"
        ))
    }
}

impl From<Timezone> for String {
    fn from(zone: Timezone) -> Self {
        zone.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timezone_is_refused_when_it_is_no_name_of_a_zone() {
        for name in [
            "UTC",
            "Etc/GMT+5",
            "America/Port-au-Prince",
            "America/New_York",
        ] {
            assert!(Timezone::try_from(name.to_owned()).is_ok(), "{name}");
        }
        for name in [
            "",
            "../UTC",
            "/etc/passwd",
            "Europe/",
            "Europe//Berlin",
            "Europe/Berlin\n",
        ] {
            assert!(Timezone::try_from(name.to_owned()).is_err(), "{name}");
        }
    }
}

//! The value of the key `timezone`.

use serde::{Deserialize, Serialize};

/// A name in the tz database, such as `Europe/Berlin`. Only its form is checked here, because the
/// database is not available wherever the configuration is read.
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
        // The name becomes part of a path: no empty part and no `..` may pass.
        let part = |part: &str| !part.is_empty() && part.bytes().all(letter);
        if text.split('/').all(part) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is not a time zone; hint: write a name such as `Europe/Berlin`"
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
    fn timezone_is_rejected_when_its_form_is_invalid() {
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

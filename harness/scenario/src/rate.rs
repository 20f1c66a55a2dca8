//! Rates of links.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_yaml::Value;

/// The units of tc(8), largest first, in bits per second.
const UNITS: [(&str, u64); 4] = [
    ("Gbit", 1_000_000_000),
    ("Mbit", 1_000_000),
    ("kbit", 1000),
    ("bit", 1),
];

/// The rate of a link in bits per second: `10Mbit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u64);

impl Rate {
    fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, bits)))?;
        let digits = digits.trim_end();
        let number: u64 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
        number.checked_mul(*unit).filter(|bits| *bits > 0).map(Self)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(_, bits): &&(&str, u64)| self.0.is_multiple_of(*bits);
        let (unit, bits) = UNITS.iter().find(divides).unwrap_or(&("bit", 1));
        write!(f, "{}{unit}", self.0 / bits)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Number(number) => {
                return Err(D::Error::custom(format!(
                    "the rate `{number}` has no unit; write `{number}Mbit` or `{number}kbit`"
                )));
            }
            _ => String::new(),
        };
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom("not a rate; write a whole number and a unit: `10Mbit`, `64kbit`")
        })
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Bits per second: 64kbit, 10Mbit, 1Gbit.",
            "pattern": "^[0-9]+ *(bit|kbit|Mbit|Gbit)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_has_a_number_and_a_unit() {
        let read = |text: &str| serde_yaml::from_str::<Rate>(text);
        assert_eq!(read("10Mbit").unwrap(), Rate(10_000_000));
        assert_eq!(read("64 kbit").unwrap().to_string(), "64kbit");
        assert_eq!(read("1500kbit").unwrap().to_string(), "1500kbit");
        assert_eq!(read("1000Mbit").unwrap().to_string(), "1Gbit");
        for (bad, hint) in [
            ("10", "write `10Mbit`"),
            ("10MB", "`64kbit`"),
            ("+1bit", "`64kbit`"),
            ("0bit", "`64kbit`"),
            ("1.5Gbit", "`64kbit`"),
            ("99999999999Gbit", "`64kbit`"),
            ("[]", "`64kbit`"),
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains(hint), "{bad}: {error}");
        }
    }
}

//! A scenario that is known to fail: why, where that is worked on, and until when it is accepted.

use std::borrow::Cow;
use std::fmt;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// A failure that is accepted for some time. A pass is red meanwhile, so that this goes when it
/// should; and so is a failure from the day after `until`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownFailure {
    /// Why it fails, in a sentence.
    pub reason: String,
    /// Where it is worked on: a link, or a number that people know.
    pub ticket: String,
    /// The last day (UTC) on which this is accepted: `2027-01-31`.
    pub until: Day,
}

impl KnownFailure {
    /// Whether a failure is accepted on that day.
    pub fn holds_on(&self, today: Day) -> bool {
        today <= self.until
    }
}

/// A day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

impl Day {
    /// This one.
    pub fn today() -> Self {
        Self(Timestamp::now().to_zoned(TimeZone::UTC).date())
    }

    /// Reads `2027-01-31`, and nothing else.
    fn read(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        // Other forms and a time of day are understood too, and would be read by nobody else.
        (date.to_string() == text).then_some(Self(date))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is no day; write `2027-01-31`")))
    }
}

impl JsonSchema for Day {
    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A day: 2027-01-31.",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_strictly() {
        assert!(Day::read("2027-01-31").is_some());
        for wrong in [
            "2027-02-29",
            "20270131",
            "2027-1-31",
            "31.01.2027",
            "2027-01-31T00:00",
            "",
        ] {
            assert_eq!(Day::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn it_holds_to_the_end_of_its_last_day() {
        let known: KnownFailure =
            serde_yaml::from_str("{reason: r, ticket: t, until: 2027-01-31}").unwrap();
        let on = |day| known.holds_on(Day::read(day).unwrap());
        assert!(on("2026-12-01") && on("2027-01-31"));
        assert!(!on("2027-02-01"));
    }
}

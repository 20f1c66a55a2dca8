//! Known failures of scenarios: the reason, the ticket, and the last day on which they are accepted.

use std::borrow::Cow;
use std::fmt;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// A failure that is accepted until a date. Until then a pass counts as a failure, so that the entry is
/// removed in time; after `until`, a failure counts as a failure again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownFailure {
    /// Why it fails, in one sentence.
    pub reason: String,
    /// The ticket: a link or a number.
    pub ticket: String,
    /// The last day (UTC) on which the failure is accepted: `2027-01-31`.
    pub until: Day,
}

impl KnownFailure {
    /// Whether the failure is accepted on a day.
    pub fn holds_on(&self, today: Day) -> bool {
        today <= self.until
    }
}

/// A day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

impl Day {
    /// The current day.
    pub fn today() -> Self {
        Self(Timestamp::now().to_zoned(TimeZone::UTC).date())
    }

    /// Parses `2027-01-31`, and no other format.
    fn read(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        // jiff also accepts other formats and a time of day, which other YAML tools do not.
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
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not a date; write `2027-01-31`")))
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
    fn day_is_refused_when_it_is_not_in_the_one_format() {
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
    fn known_failure_holds_until_the_end_of_its_last_day() {
        let known: KnownFailure =
            serde_yaml::from_str("{reason: r, ticket: t, until: 2027-01-31}").unwrap();
        let on = |day| known.holds_on(Day::read(day).unwrap());
        assert!(on("2026-12-01") && on("2027-01-31"));
        assert!(!on("2027-02-01"));
    }
}

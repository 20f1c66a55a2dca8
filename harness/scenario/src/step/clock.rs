//! Clock changes.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::super::collector::Lint;
use super::text::time;
use super::{Effect, MachineState, StepKind, Undone};

/// Sets the machine's clock forward or back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// The distance: `1h`, or `-1h` for back.
    pub jump: Jump,
}

/// The distance of a clock change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// In seconds; negative for back.
    pub seconds: i64,
}

impl<'de> Deserialize<'de> for Jump {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (sign, length) = match text.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, text.as_str()),
        };
        let length = humantime::parse_duration(length).map_err(|error| {
            D::Error::custom(format!("not a duration ({error}); write `1h` or `-1h`"))
        })?;
        match i64::try_from(length.as_secs()) {
            Ok(seconds @ 1..) => Ok(Self {
                seconds: sign * seconds,
            }),
            _ => Err(D::Error::custom(
                "the clock change is shorter than a second",
            )),
        }
    }
}

impl JsonSchema for Jump {
    fn schema_name() -> Cow<'static, str> {
        "Jump".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The distance of a clock change: 1h, or -1h for back.",
            "pattern": "^-?[0-9]",
        })
    }
}

impl StepKind for ClockStep {
    fn title(&self) -> String {
        let seconds = self.jump.seconds;
        let length = time(Duration::from_secs(seconds.unsigned_abs()));
        let way = if seconds < 0 { "back" } else { "ahead" };
        format!("clock: {length} {way}")
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn needs_login(&self) -> bool {
        true
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }

    fn follow(&self, state: &mut MachineState, _: &mut Lint<'_>, _: &str) {
        state.faults.push(Undone::Clock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_change_is_positive_or_negative() {
        let jump = |text: &str| serde_yaml::from_str::<Jump>(text).map(|jump| jump.seconds);
        assert_eq!((jump("1h").unwrap(), jump("-90m").unwrap()), (3600, -5400));
        assert!(jump("soon").is_err() && jump("0s").is_err());
    }

    #[test]
    fn title_has_the_distance_and_the_direction() {
        let step: ClockStep = serde_yaml::from_str("{ jump: -90m }").unwrap();
        assert_eq!(step.title(), "clock: 1h 30m back");
    }
}

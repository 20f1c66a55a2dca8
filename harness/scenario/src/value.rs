//! The small types of a scenario file that check themselves while they are read.

use std::borrow::Cow;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_yaml::Value;

/// A regular expression; `^` and `$` stand for the ends of any line.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let regex = RegexBuilder::new(&text).multi_line(true).build();
        regex.map(Self).map_err(|error| {
            let last = error.to_string();
            let reason = last
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            D::Error::custom(format!("not a regular expression: {reason}"))
        })
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A regular expression; ^ and $ stand for the ends of any line.",
        })
    }
}

/// How long: `500ms`, `20s`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Number(number) => {
                return Err(D::Error::custom(format!(
                    "`{number}` has no unit, expected a time; write `{number}s` or `{number}m`"
                )));
            }
            _ => {
                return Err(D::Error::custom("expected a time; write `20s` or `2m`"));
            }
        };
        match humantime::parse_duration(&text) {
            Ok(span) if !span.is_zero() => Ok(Self(span)),
            Ok(_) => Err(D::Error::custom(
                "a time of zero leaves no time for anything",
            )),
            Err(error) => Err(D::Error::custom(format!(
                "not a time ({error}); write `20s` or `2m`"
            ))),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "How long: 500ms, 20s, 2m.",
            "pattern": "^[0-9]",
        })
    }
}

/// One string or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Words;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one string or a list of strings")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl JsonSchema for Words {
    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One string or a list of them.",
            "oneOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        })
    }
}

/// What a text (stdout, stderr) must be. All that is said must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextExpectation {
    /// The whole text; one line end at its end does not count.
    pub equals: Option<String>,
    /// A regular expression found anywhere in it.
    pub matches: Option<Pattern>,
    /// What is in it somewhere.
    pub contains: Option<Words>,
    /// What is nowhere in it.
    pub lacks: Option<Words>,
    /// The name of a snapshot beside the scenarios (`snapshots/NAME.snap`), kept by insta.
    pub snapshot: Option<String>,
    /// What differs from run to run, replaced before the snapshot is compared.
    #[serde(default)]
    pub filters: Vec<Filter>,
}

/// One replacement before a snapshot is compared.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What is replaced.
    pub pattern: Pattern,
    /// By what; `$1` is the first group.
    pub replacement: String,
}

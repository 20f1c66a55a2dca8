//! Console rules: a value that profiles and scenarios share.

use std::borrow::Cow;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Console lines that fail a trial in addition to the known ones, and lines that are allowed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleRules {
    /// A line that matches one of these patterns fails the trial as well.
    pub fail: Vec<LinePattern>,
    /// A line that matches one of these patterns never fails the trial.
    pub allow: Vec<LinePattern>,
}

impl ConsoleRules {
    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.fail.is_empty() && self.allow.is_empty()
    }
}

/// A regular expression for a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinePattern(Regex);

impl LinePattern {
    /// The expression.
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl TryFrom<String> for LinePattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let regex = Regex::new(&text).map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            format!("not a regular expression: {reason}")
        })?;
        if regex.is_match("") {
            return Err("the pattern matches every line; write a part of the line".into());
        }
        Ok(Self(regex))
    }
}

impl From<LinePattern> for String {
    fn from(pattern: LinePattern) -> Self {
        pattern.0.as_str().into()
    }
}

impl JsonSchema for LinePattern {
    fn schema_name() -> Cow<'static, str> {
        "LinePattern".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A regular expression for a console line.",
            "minLength": 1,
        })
    }
}

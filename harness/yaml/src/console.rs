//! Console rules: a value that profiles and scenarios share.

use std::borrow::Cow;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Lines of the console that fail a trial beside those that are known, and such that do not.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleRules {
    /// A line that matches one of these fails the trial, too.
    pub fail: Vec<LinePattern>,
    /// A line that matches one of these never does.
    pub allow: Vec<LinePattern>,
}

impl ConsoleRules {
    /// Whether they change nothing.
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
            let last = error.to_string();
            let reason = last.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            format!("not a regular expression: {reason}")
        })?;
        if regex.is_match("") {
            return Err("this pattern matches every line; write what such a line says".into());
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
            "description": "A regular expression for a line of the console.",
            "minLength": 1,
        })
    }
}

//! Something that is wrong with what a cloud says.

use serde::{Deserialize, Serialize};

/// What is wrong, and where. Never holds what may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The line of the user-data, the first is 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is wrong, and what became of it.
    pub what: String,
}

impl Problem {
    /// One at a line.
    pub fn at(line: impl Into<Option<usize>>, what: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            what: what.into(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

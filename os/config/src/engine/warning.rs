//! Settings that have no effect.

use crate::Layer;

/// A setting that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    path: Vec<String>,
    message: String,
}

impl Warning {
    /// A warning about a key, or about an item of its list.
    pub fn new(key: &str, item: Option<usize>, message: impl Into<String>) -> Self {
        let keys = key.split('.').map(str::to_owned);
        let path = keys.chain(item.map(|item| item.to_string())).collect();
        let message = message.into();
        Self { path, message }
    }

    /// A warning about a path whose keys may contain dots.
    pub fn at(path: Vec<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { path, message }
    }

    /// The text of the warning, prefixed with its location in the layer that sets the value.
    pub fn placed(&self, layers: &[Layer]) -> String {
        match crate::location(layers, &self.path) {
            Some(location) => format!("{location}: {self}"),
            None => self.to_string(),
        }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.path.iter().filter(|key| key.parse::<usize>().is_err());
        let key = keys.map(String::as_str).collect::<Vec<_>>().join(".");
        write!(f, "{key}: {}", self.message)
    }
}

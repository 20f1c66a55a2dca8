//! Addons: optional services, or replacements for services of the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

/// The definition of an addon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addon {
    /// Services by name. If the machine has a service of that name, these keys are merged into it.
    pub services: BTreeMap<String, Mapping>,
}

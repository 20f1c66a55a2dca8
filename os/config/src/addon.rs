//! Addons: optional services, or replacements for services of the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

/// The definition of an addon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addon {
    /// Images that are pulled with the addon, by a further name that they get. `${VERSION}` expands to the
    /// version of the OS. They are for `system-docker run`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Services by name. If the machine has a service of that name, these keys are merged into it.
    pub services: BTreeMap<String, Mapping>,
}

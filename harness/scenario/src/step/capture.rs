//! Frames that a network carried.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use switch::Filter;

use super::super::collector::Lint;
use super::super::value::optional_from_text;
use super::{Effect, Place, StepKind};

/// Checks the newest frames that a network carried since the trial began. A filter is a part of the language
/// of tcpdump: `arp`, `ip`, `ip6`, `icmp`, `icmp6`, `tcp`, `udp`, `port N`, `tcp port N`, `udp port N`,
/// `host ADDRESS`, `src ADDRESS`, `dst ADDRESS`, joined by `and`. The conditions after `vxlan` or `vxlan VNI`
/// are about the frame inside.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureStep {
    /// The network.
    pub network: String,
    /// A filter for a frame that must exist; the step waits for it.
    #[serde(default, deserialize_with = "optional_from_text")]
    #[schemars(with = "Option<String>")]
    pub has: Option<Filter>,
    /// A filter for frames that must not exist.
    #[serde(default, deserialize_with = "optional_from_text")]
    #[schemars(with = "Option<String>")]
    pub lacks: Option<Filter>,
    /// The machine that sent the frames; the default is any.
    pub from: Option<String>,
    /// The machine that received the frames; the default is any.
    pub to: Option<String>,
}

impl StepKind for CaptureStep {
    fn title(&self) -> String {
        let part = |word: &str, value: Option<String>| {
            value.map_or_else(String::new, |value| format!(" {word} {value}"))
        };
        [
            format!("capture: {}", self.network),
            part("has", self.has.as_ref().map(ToString::to_string)),
            part("lacks", self.lacks.as_ref().map(ToString::to_string)),
            part("from", self.from.clone()),
            part("to", self.to.clone()),
        ]
        .concat()
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        let empty = self.has.is_none() && self.lacks.is_none();
        let hint = "write `has` or `lacks` with a filter, e.g. `has: udp port 8472`";
        lint.refuse(empty, path, "no expectation", hint);
    }

    fn place(&self) -> Place {
        Place::Networks
    }

    fn needs_guest(&self) -> bool {
        false
    }

    fn effect(&self) -> Effect {
        Effect::Host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_has_filters_and_direction() {
        let title = |text: &str| serde_yaml::from_str::<CaptureStep>(text).unwrap().title();
        assert_eq!(
            title("{ network: lan, has: udp port 8472, from: a, to: b }"),
            "capture: lan has udp port 8472 from a to b"
        );
        assert_eq!(
            title("{ network: lan, lacks: tcp }"),
            "capture: lan lacks tcp"
        );
    }
}

//! Impairments of the link between a machine and a network.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::rate::Rate;
use super::super::value::Span;
use super::text::{lasting, time};
use super::{Effect, MachineState, Place, StepKind, Undone};

/// Sets the impairments of the link between a machine and a network, in both directions; replaces its earlier
/// ones. Without any, the link is as before.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkStep {
    /// The network.
    pub network: String,
    /// The machine.
    pub machine: String,
    /// The delay of each frame.
    pub delay: Option<Span>,
    /// The frames that are lost, in percent.
    pub loss: Option<u8>,
    /// The frames that arrive twice, in percent.
    pub duplicate: Option<u8>,
    /// The maximum rate.
    pub rate: Option<Rate>,
    /// Reverts the impairments after this time.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
}

impl LinkStep {
    /// Whether the step restores the link.
    pub fn restores(&self) -> bool {
        let Self {
            delay,
            loss,
            duplicate,
            rate,
            ..
        } = self;
        delay.is_none() && loss.is_none() && duplicate.is_none() && rate.is_none()
    }
}

impl StepKind for LinkStep {
    fn title(&self) -> String {
        let delay = self.delay.map(|span| format!("{} late", time(span.0)));
        let loss = self.loss.map(|loss| format!("{loss} % lost"));
        let twice = self.duplicate.map(|twice| format!("{twice} % twice"));
        let rate = self.rate.map(|rate| format!("{rate} per second"));
        let restored = self.restores().then(|| "restored".to_owned());
        let parts = [delay, loss, twice, rate, restored];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let (machine, network) = (&self.machine, &self.network);
        let (parts, lasting) = (parts.join(", "), lasting(self.lasting));
        format!("link: {machine} to {network} {parts}{lasting}")
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60) + self.lasting.map_or(Duration::ZERO, |span| span.0)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        for (key, percent) in [("loss", self.loss), ("duplicate", self.duplicate)] {
            if percent.is_some_and(|percent| percent == 0 || percent > 100) {
                let hint = "write a percentage from 1 to 100";
                lint.value(&format!("{path}.{key}"), "not a share of frames", hint);
            }
        }
        let invalid = self.restores() && self.lasting.is_some();
        let message = "`for` has no effect: this step restores the link";
        lint.refuse(invalid, &format!("{path}.for"), message, "remove it");
    }

    fn place(&self) -> Place {
        Place::Networks
    }

    fn needs_guest(&self) -> bool {
        false
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }

    fn follow(&self, state: &mut MachineState, _: &mut Lint<'_>, _: &str) {
        if !self.restores() {
            state.faults.push(Undone::Link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_lists_all_impairments() {
        let title = |text: &str| serde_yaml::from_str::<LinkStep>(text).unwrap().title();
        assert_eq!(
            title(
                "{ network: lan, machine: b, delay: 100ms, loss: 5, duplicate: 1, rate: 10Mbit, for: 5s }"
            ),
            "link: b to lan 100ms late, 5 % lost, 1 % twice, 10Mbit per second for 5s"
        );
        assert_eq!(
            title("{ network: lan, machine: b }"),
            "link: b to lan restored"
        );
    }
}

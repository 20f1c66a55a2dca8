//! Faults of a network.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::value::Span;
use super::text::{lasting, time};
use super::{Effect, MachineState, StepKind, Undone};

/// Sets the faults of one network interface; replaces its earlier ones.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkStep {
    /// The interface in the machine; the default is `eth0`.
    pub interface: Option<String>,
    /// The state of the link.
    pub link: Option<Link>,
    /// The delay of each packet, in both directions.
    pub delay: Option<Span>,
    /// The packet loss in percent, in both directions.
    pub loss: Option<u8>,
    /// Reverts the faults after this time.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
}

impl NetworkStep {
    /// The interface in the machine.
    pub fn interface(&self) -> &str {
        self.interface.as_deref().unwrap_or("eth0")
    }
}

/// The state of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// The link has a carrier.
    Up,
    /// The link has no carrier, like with the cable unplugged.
    Down,
}

impl StepKind for NetworkStep {
    fn title(&self) -> String {
        let link = self.link.map(|link| match link {
            Link::Up => "up".to_owned(),
            Link::Down => "down".to_owned(),
        });
        let delay = self.delay.map(|span| format!("{} late", time(span.0)));
        let loss = self.loss.map(|loss| format!("{loss} % lost"));
        let parts: Vec<_> = [link, delay, loss].into_iter().flatten().collect();
        let (interface, parts) = (self.interface(), parts.join(", "));
        format!("network: {interface} {parts}{}", lasting(self.lasting))
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60) + self.lasting.map_or(Duration::ZERO, |span| span.0)
    }

    fn needs_login(&self) -> bool {
        true
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        let NetworkStep {
            link, delay, loss, ..
        } = self;
        if link.is_none() && delay.is_none() && loss.is_none() {
            let hint = "write `link`, `delay` or `loss`";
            lint.key(path, "this step injects no fault", hint);
        }
        if loss.is_some_and(|loss| loss == 0 || loss > 100) {
            let hint = "write a percentage from 1 to 100";
            lint.value(&format!("{path}.loss"), "not a packet loss", hint);
        }
        let disturbed = delay.is_some() || loss.is_some();
        let message = "`delay` and `loss` have no effect while the link is down";
        let invalid = *link == Some(Link::Down) && disturbed;
        lint.refuse(invalid, &format!("{path}.link"), message, "remove `link`");
        let message = "`for` has no effect: this step injects no fault";
        let invalid = *link == Some(Link::Up) && !disturbed && self.lasting.is_some();
        lint.refuse(invalid, &format!("{path}.for"), message, "remove it");
        if self
            .interface
            .as_deref()
            .is_some_and(|name| !is_interface(name))
        {
            let path = format!("{path}.interface");
            lint.value(
                &path,
                "not an interface name",
                "write a name such as `eth0`",
            );
        }
    }

    fn needs_network(&self) -> bool {
        // It may be the step that brings the link up again.
        false
    }

    fn interrupts_guest(&self) -> bool {
        true
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }

    fn follow(&self, state: &mut MachineState, _: &mut Lint<'_>, _: &str) {
        state.link_down = self.link == Some(Link::Down) && self.lasting.is_none();
        state.faults.push(Undone::Network);
    }
}

fn is_interface(interface: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !interface.is_empty() && interface.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_lists_all_faults() {
        let step: NetworkStep =
            serde_yaml::from_str("{ delay: 200ms, loss: 10, for: 5s }").unwrap();
        assert_eq!(step.title(), "network: eth0 200ms late, 10 % lost for 5s");
    }
}

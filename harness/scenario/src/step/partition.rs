//! Partitions of a network between machines.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::value::{Span, Words};
use super::text::lasting;
use super::{Effect, MachineState, Place, StepKind, Undone};

/// Drops all frames between two groups of machines on a network, until `undo: partition`. Partitions add up.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionStep {
    /// The network.
    pub network: String,
    /// Two machines or two groups of machines: `[a, b]`, `[a, [b, c]]`.
    #[schemars(length(equal = 2))]
    pub between: Option<Vec<Words>>,
    /// With `to`: drops only the frames that these machines send to the others.
    pub from: Option<Words>,
    /// The machines that no longer receive frames of those in `from`.
    pub to: Option<Words>,
    /// Reverts the partition after this time.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
}

impl PartitionStep {
    /// The two groups of machines; empty ones only for a step that the lint refused.
    pub fn groups(&self) -> (Vec<String>, Vec<String>) {
        let group = |number: usize| {
            let groups = self.between.as_ref()?;
            Some(groups.get(number)?.0.clone())
        };
        let words = |words: &Option<Words>| words.clone().unwrap_or_default().0;
        (
            group(0).unwrap_or_else(|| words(&self.from)),
            group(1).unwrap_or_else(|| words(&self.to)),
        )
    }

    /// The directions in which frames are dropped: senders and receivers.
    pub fn cuts(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let (one, other) = self.groups();
        if self.between.is_some() {
            vec![(one.clone(), other.clone()), (other, one)]
        } else {
            vec![(one, other)]
        }
    }
}

impl StepKind for PartitionStep {
    fn title(&self) -> String {
        let (one, other) = self.groups();
        let (one, other) = (one.join(", "), other.join(", "));
        let (network, lasting) = (&self.network, lasting(self.lasting));
        if self.between.is_some() {
            format!("partition: {network} between {one} and {other}{lasting}")
        } else {
            format!("partition: {network} from {one} to {other}{lasting}")
        }
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60) + self.lasting.map_or(Duration::ZERO, |span| span.0)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        let hint = "write `between: [a, b]`, or `from: a` and `to: b` for one direction";
        let directed = self.from.is_some() && self.to.is_some();
        let message = "this step does not say which machines it cuts off from each other";
        lint.refuse(self.between.is_none() && !directed, path, message, hint);
        let both = self.between.is_some() && (self.from.is_some() || self.to.is_some());
        let message = "`between` cannot be combined with `from` and `to`";
        lint.refuse(both, &format!("{path}.between"), message, hint);
        if let Some(groups) = self.between.as_ref().filter(|groups| groups.len() != 2) {
            let message = format!("a partition has two sides, not {}", groups.len());
            let hint = "write several machines of one side as a list: `[a, [b, c]]`";
            lint.value(&format!("{path}.between"), message, hint);
        }
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
        state.faults.push(Undone::Partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str) -> PartitionStep {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn partition_cuts_both_directions_of_between_and_one_of_from_and_to() {
        let both = step("{ network: lan, between: [a, [b, c]] }");
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (one, other) = (names(&["a"]), names(&["b", "c"]));
        assert_eq!(both.groups(), (one.clone(), other.clone()));
        let cut = (one.clone(), other.clone());
        assert_eq!(both.cuts(), [cut.clone(), (other, one)]);
        let directed = step("{ network: lan, from: a, to: [b, c], for: 5s }");
        assert_eq!(directed.cuts(), [cut]);
        assert_eq!(both.title(), "partition: lan between a and b, c");
        assert_eq!(directed.title(), "partition: lan from a to b, c for 5s");
    }
}

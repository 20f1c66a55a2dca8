//! Devices that are plugged into the running machine.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::empty_disk::{self, DiskFile};
use super::super::subnet::Subnet;
use super::{Effect, MachineState, StepKind};

/// Hot-plugs one of `disk` and `network`. The device is removed when the machine ends, also at a power
/// cut.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HotplugStep {
    /// An empty disk.
    pub disk: Option<DiskFile>,
    /// A network card on a network of its own with this address, which has a gateway and DHCP.
    pub network: Option<Subnet>,
}

/// A device to plug in.
pub enum Plugged<'s> {
    /// A disk.
    Disk(&'s DiskFile),
    /// A network card.
    Network(Subnet),
}

impl HotplugStep {
    fn kinds(&self) -> [(&'static str, Option<Plugged<'_>>); 2] {
        [
            ("disk", self.disk.as_ref().map(Plugged::Disk)),
            ("network", self.network.map(Plugged::Network)),
        ]
    }

    /// What the step plugs in; `None` only for a step that the lint refused.
    pub fn plugged(&self) -> Option<Plugged<'_>> {
        self.kinds().into_iter().find_map(|(_, kind)| kind)
    }
}

impl StepKind for HotplugStep {
    fn title(&self) -> String {
        match self.plugged() {
            Some(Plugged::Disk(disk)) => format!("plug in a disk of {} MiB", disk.size),
            Some(Plugged::Network(network)) => format!("plug in a network card on {network}"),
            None => "plug in".into(),
        }
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        let one = lint.one(self.kinds(), path, "a hotplug step");
        if let Some(Plugged::Disk(plugged)) = one {
            empty_disk::check(lint, plugged, &format!("{path}.disk"));
        }
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn effect(&self) -> Effect {
        Effect::Host
    }

    fn follow(&self, state: &mut MachineState, _: &mut Lint<'_>, _: &str) {
        state.disks += usize::from(self.disk.is_some());
    }
}

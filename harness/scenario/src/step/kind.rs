//! What every kind of step defines, apart from how it is performed.

use std::time::Duration;

use super::super::collector::Lint;
use super::state::MachineState;

/// A kind of step.
pub(crate) trait StepKind {
    /// A description in one line, for steps without a name.
    fn title(&self) -> String;

    /// The default timeout on the reference host (two cores, emulated).
    fn default_timeout(&self) -> Duration;

    /// Whether it logs in with the trial's key.
    fn needs_login(&self) -> bool;

    /// Reports errors that serde cannot detect. `path` is that of the kind's key.
    fn lint(&self, _lint: &mut Lint<'_>, _path: &str) {}

    /// Whether it needs the machine's network.
    fn needs_network(&self) -> bool {
        self.needs_login()
    }

    /// Whether the guest must run: it cannot answer while the machine is paused.
    fn needs_guest(&self) -> bool {
        true
    }

    /// Whether the guest may not answer during the step.
    fn interrupts_guest(&self) -> bool {
        false
    }

    /// Whether the guest can make the step fail.
    fn can_fail(&self) -> bool {
        true
    }

    /// Whether the machine boots during the step.
    fn boots(&self) -> bool {
        false
    }

    /// Whether it checks the last boot.
    fn checks_boot(&self) -> bool {
        false
    }

    /// For a step that checks the boot: what to write instead on a machine that did not boot itself.
    fn instead_of_boot_check(&self) -> Option<&'static str> {
        None
    }

    /// Whether it only queries the machine, so that it can be an invariant.
    fn is_query(&self) -> bool {
        false
    }

    /// What it changes.
    fn effect(&self) -> Effect {
        Effect::Guest
    }

    /// Applies the step to the state of the machine after the steps so far; reports errors of the order. `path`
    /// is that of the step.
    fn follow(&self, _state: &mut MachineState, _lint: &mut Lint<'_>, _path: &str) {}
}

/// What a step changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The guest at most: a checkpoint contains the result.
    Guest,
    /// Something beside the guest, which is not part of a checkpoint.
    Host,
    /// It injects or reverts a fault.
    Fault,
}

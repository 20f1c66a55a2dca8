//! The state of the machine after the steps so far, as the lint computes it.

use super::super::collector::Lint;
use super::undo::Undone;

/// The state of the machine after the steps so far.
#[derive(Debug, Default)]
pub(crate) struct MachineState {
    pub(crate) paused: bool,
    pub(crate) link_down: bool,
    pub(crate) off: bool,
    /// The number of the scenario's disks, including hot-plugged ones.
    pub(crate) disks: usize,
    /// The faults that `undo` can revert.
    pub(crate) faults: Vec<Undone>,
}

impl MachineState {
    /// Reverts faults; reports an error if there are none.
    pub(super) fn undo(&mut self, what: Undone, lint: &mut Lint<'_>, path: &str) {
        let is_undone = |one: &Undone| what == Undone::All || what == *one;
        let any = self.faults.iter().any(is_undone) || what == Undone::All && self.paused;
        let message = "no earlier step injected this fault";
        lint.refuse(!any, &format!("{path}.undo"), message, "remove the step");
        self.faults.retain(|one| !is_undone(one));
        self.link_down &= !is_undone(&Undone::Network);
        self.paused &= what != Undone::All;
    }
}

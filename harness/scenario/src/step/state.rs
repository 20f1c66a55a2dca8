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
        Self::undo_in(vec![self], what, lint, path);
    }

    /// Reverts faults of several machines; reports an error if none of them has one.
    pub(crate) fn undo_in(states: Vec<&mut Self>, what: Undone, lint: &mut Lint<'_>, path: &str) {
        let any = states.iter().any(|state| state.has(what));
        let message = "no earlier step injected this fault";
        lint.refuse(!any, &format!("{path}.undo"), message, "remove the step");
        for state in states {
            state.revert(what);
        }
    }

    fn has(&self, what: Undone) -> bool {
        let is_undone = |one: &Undone| what == Undone::All || what == *one;
        self.faults.iter().any(is_undone) || what == Undone::All && self.paused
    }

    fn revert(&mut self, what: Undone) {
        let is_undone = |one: &Undone| what == Undone::All || what == *one;
        self.faults.retain(|one| !is_undone(one));
        self.link_down &= !is_undone(&Undone::Network);
        self.paused &= what != Undone::All;
    }
}

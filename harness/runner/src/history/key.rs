//! The keys of steps in the history.

use base::hash::Hash;
use scenario::Step;

/// The title of the boot of a machine, before the first step.
pub(crate) const BOOT: &str = "boot";
/// The title of the fork of a checkpoint, before the first step.
pub(crate) const FORK: &str = "fork";

/// The key of a step: the hash of its action. A step whose action changes has no history.
pub(super) fn key(step: &Step) -> String {
    Hash::default().text(&format!("{:?}", step.action)).finish()
}

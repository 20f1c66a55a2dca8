//! What this host can do: QEMU, KVM proven by a boot, helpers found, speed measured.
// OWNER: machine branch. (May become a folder.)

pub mod scale;

/// One line of `harness doctor`.
#[derive(Debug)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// Good, degraded (works, slower or less), or missing.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to install or do.
    pub hint: Option<String>,
}

/// How good a finding is.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// As wanted.
    Good,
    /// Works, with something less.
    Degraded,
    /// Needed and not there.
    Missing,
}

/// Looks at everything; `kernel` is used to prove KVM when given.
pub fn examine(kernel: Option<&std::path::Path>) -> Vec<Finding> {
    let _ = kernel;
    todo!()
}

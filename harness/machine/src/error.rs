//! What can go wrong with a machine.

use base::wait::WaitError;

/// What the machine did that ends a trial whatever it was doing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Badness {
    /// A line on the console: panic, oops, BUG, hung task, out of memory.
    #[error("the guest's console said: {0}")]
    Console(String),
    /// The guest switched the machine off, which nobody expected.
    #[error("the guest switched the machine off")]
    PoweredOff,
    /// QEMU ended by itself.
    #[error("QEMU ended: {0}")]
    QemuEnded(String),
}

/// What went wrong between us and the machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU could not be started, with its stderr.
    #[error("QEMU did not start: {0}")]
    Start(String),
    /// A wait ended without its condition.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The machine broke.
    #[error(transparent)]
    Bad(#[from] Badness),
    /// SSH refused this login.
    #[error("login as {user} was refused")]
    Refused {
        /// Who tried.
        user: String,
    },
    /// SSH otherwise.
    #[error("ssh: {0}")]
    Ssh(String),
    /// The answering machine is not the one that was started.
    #[error("another machine answers on port {port}: {why}")]
    WrongMachine {
        /// The host port.
        port: u16,
        /// What differed.
        why: String,
    },
    /// Client and engine did not agree over TLS.
    #[error("TLS was refused: {0}")]
    TlsRefused(String),
    /// QMP, files and the rest.
    #[error("{0}")]
    Other(String),
}

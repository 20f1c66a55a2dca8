//! Errors of machines.

use base::wait::WaitError;

/// A failure of the guest or of QEMU that ends a trial at any point.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GuestFailure {
    /// A line on the console: panic, oops, BUG, hung task, out of memory.
    #[error("guest failure on the console: {0}")]
    Console(String),
    /// The guest powered off unexpectedly.
    #[error("the guest powered off unexpectedly")]
    PoweredOff,
    /// QEMU exited by itself.
    #[error("QEMU exited: {0}")]
    QemuEnded(String),
}

/// Errors between the harness and a machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU could not be started; with its output.
    #[error("QEMU did not start: {0}")]
    Start(String),
    /// A wait ended without its condition.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The guest or QEMU failed.
    #[error(transparent)]
    Guest(#[from] GuestFailure),
    /// SSH refused the login.
    #[error("login as {user} was refused")]
    Refused {
        /// The user name.
        user: String,
    },
    /// Any other SSH error.
    #[error("ssh: {0}")]
    Ssh(String),
    /// The answering machine is not the one that was started.
    #[error("another machine answers on port {port}: {why}")]
    WrongMachine {
        /// The host port.
        port: u16,
        /// The difference that was found.
        why: String,
    },
    /// The client or the engine refused the TLS connection.
    #[error("TLS was refused: {0}")]
    TlsRefused(String),
    /// Any other error: QMP, files.
    #[error("{0}")]
    Other(String),
}

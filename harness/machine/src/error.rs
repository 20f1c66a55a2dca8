//! Errors of machines.

use base::wait::WaitError;

/// A failure of the guest or of QEMU that ends a trial at any point.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GuestFailure {
    /// A line on the console: oops, BUG, hung task, out of memory, a failed unit.
    #[error("guest failure on the console: {kind}: {line}")]
    Console {
        /// What the line means, for example `kernel oops`.
        kind: &'static str,
        /// The line, without its end.
        line: String,
    },
    /// The kernel's panic line on the console.
    #[error("guest failure on the console: {kind}: {line}")]
    Panic {
        /// `kernel panic`.
        kind: &'static str,
        /// The line, without its end.
        line: String,
    },
    /// The guest powered off unexpectedly.
    #[error("the guest powered off unexpectedly")]
    PoweredOff,
    /// QEMU exited by itself.
    #[error("QEMU exited: {0}")]
    QemuEnded(String),
}

impl GuestFailure {
    /// Whether the guest cannot run any more: it panicked, it is off, or QEMU exited.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Console { .. } => false,
            Self::Panic { .. } | Self::PoweredOff | Self::QemuEnded(_) => true,
        }
    }

    /// The console line that means the failure, if there is one.
    pub fn console_line(&self) -> Option<&str> {
        match self {
            Self::Console { line, .. } | Self::Panic { line, .. } => Some(line),
            Self::PoweredOff | Self::QemuEnded(_) => None,
        }
    }
}

/// The first failure of a guest, as all that wait for the guest see it.
pub(crate) type FailureWatch = tokio::sync::watch::Receiver<Option<GuestFailure>>;

/// Runs `work`, and cancels it at once after a fatal failure of the guest.
///
/// # Errors
/// That failure, or the error of `work`.
pub(crate) async fn until_fatal<T>(
    failure: &FailureWatch,
    work: impl Future<Output = Result<T, MachineError>>,
) -> Result<T, MachineError> {
    let mut failure = failure.clone();
    tokio::select! {
        biased;
        done = work => done,
        failure = fatal(&mut failure) => Err(failure.into()),
    }
}

/// The first failure if it is fatal; pending for ever while it is not.
async fn fatal(failure: &mut FailureWatch) -> GuestFailure {
    let is_fatal =
        |failure: &Option<GuestFailure>| failure.as_ref().is_some_and(GuestFailure::is_fatal);
    match failure
        .wait_for(is_fatal)
        .await
        .ok()
        .and_then(|failure| failure.clone())
    {
        Some(failure) => failure,
        None => std::future::pending().await,
    }
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
    /// A connection to a Docker engine failed.
    #[error("{0}")]
    Docker(String),
    /// A QMP command failed.
    #[error("QMP {command}: {why}")]
    Qmp {
        /// The command.
        command: String,
        /// QEMU's answer, or why there is none.
        why: String,
    },
    /// Any other error of this host: files, programs.
    #[error("{0}")]
    Other(String),
}

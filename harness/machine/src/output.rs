//! The result of a command.

use std::time::Instant;

/// The result of a command.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Exit status; `None` if a signal ended the command.
    pub exit: Option<i32>,
    /// Name of the signal that ended the command.
    pub signal: Option<String>,
    /// Standard output, as raw bytes.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// When the first byte of either output arrived, if known.
    pub began: Option<Instant>,
}

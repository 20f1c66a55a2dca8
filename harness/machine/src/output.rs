//! What a command left.

use std::time::Instant;

/// A command's end.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Exit status; none when a signal ended it.
    pub exit: Option<i32>,
    /// Name of the signal that ended it.
    pub signal: Option<String>,
    /// Standard output, bytes as they came.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// When the first of either came, where that is known.
    pub began: Option<Instant>,
}

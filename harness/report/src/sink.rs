//! The output of reporters; they never choose a terminal or a stream themselves.

use std::sync::Arc;

/// Prints one line, or several; the text has no newline at its end.
pub type LineSink = Arc<dyn Fn(&str) + Send + Sync>;

//! Where reporters print: they never choose a terminal or a stream themselves.

use std::sync::Arc;

/// Prints one line, or several, without the last newline.
pub type LineSink = Arc<dyn Fn(&str) + Send + Sync>;

//! Waiting: the one function that does it, and how deadlines know the host.
// OWNER: machine branch.

use std::time::Duration;

/// What one look at a condition came to.
pub enum Poll<T> {
    /// It holds.
    Ready(T),
    /// Not yet; what was seen instead, for the message at the deadline.
    NotYet(String),
    /// It never will.
    Failed(String),
}

/// Why waiting ended without the condition.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed.
    #[error("{what} did not happen within {:.1} s; last seen: {last}", limit.as_secs_f64())]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The last `NotYet`.
        last: String,
    },
    /// The condition can no longer come true.
    #[error("{what} failed: {why}")]
    Failed {
        /// What was waited for.
        what: String,
        /// Why it failed.
        why: String,
    },
}

/// Looks at a condition until it holds, fails, or `limit` passes.
///
/// # Errors
/// See [`WaitError`].
pub async fn wait_until<T, F>(what: &str, limit: Duration, look: F) -> Result<T, WaitError>
where
    F: AsyncFnMut() -> Poll<T>,
{
    let _ = (what, limit, look);
    todo!()
}

//! Waiting for a condition with a timeout.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first pause between two polls; each pause is 1.5 times the previous one, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two polls, so that a verdict is not late.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The result of one poll of a condition.
pub enum Poll<T> {
    /// The condition holds.
    Ready(T),
    /// The condition does not hold yet; the text says what was seen, for the timeout message.
    NotYet(String),
    /// The condition can no longer become true; the text is the reason.
    Failed(String),
}

/// The error of a wait.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The timeout expired.
    #[error("timed out after {:.1} s waiting for {what}; last seen: {last}", limit.as_secs_f64())]
    Deadline {
        /// The condition.
        what: String,
        /// The timeout.
        limit: Duration,
        /// The text of the last `NotYet`.
        last: String,
    },
    /// The condition can no longer become true.
    #[error("{what} failed: {why}")]
    Failed {
        /// The condition.
        what: String,
        /// The reason.
        why: String,
    },
}

impl WaitError {
    /// The timeout of `what` expired; `last` is what was seen last.
    pub fn deadline(what: &str, limit: Duration, last: impl Into<String>) -> Self {
        Self::Deadline {
            what: what.into(),
            limit,
            last: last.into(),
        }
    }

    /// `what` can no longer become true.
    pub fn failed(what: &str, why: impl Into<String>) -> Self {
        Self::Failed {
            what: what.into(),
            why: why.into(),
        }
    }
}

/// Receives the condition and what a poll saw instead.
pub type Watcher = Arc<dyn Fn(&str, &str) + Send + Sync>;

tokio::task_local! {
    static WATCHER: Watcher;
}

/// Runs `work`; calls `watcher` for each poll in this task that returns `NotYet`.
pub async fn watched<F: Future>(watcher: Watcher, work: F) -> F::Output {
    WATCHER.scope(watcher, work).await
}

/// Calls the watcher of this task, if there is one.
pub fn tell(what: &str, seen: &str) {
    let _ = WATCHER.try_with(|watcher| watcher(what, seen));
}

/// Polls a condition until it holds, fails, or `limit` expires. A poll that does not return is cancelled
/// at the limit.
///
/// # Errors
/// See [`WaitError`].
pub async fn wait_until<T, F>(what: &str, limit: Duration, mut look: F) -> Result<T, WaitError>
where
    F: AsyncFnMut() -> Poll<T>,
{
    let end = Instant::now() + limit;
    let mut last = None;
    let timed_out = |last: Option<String>| {
        WaitError::deadline(what, limit, last.unwrap_or_else(|| "nothing".into()))
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let start = Instant::now();
        match tokio::time::timeout_at(end.into(), look()).await {
            Ok(Poll::Ready(value)) => return Ok(value),
            Ok(Poll::Failed(why)) => return Err(WaitError::failed(what, why)),
            Ok(Poll::NotYet(seen)) => {
                tell(what, &seen);
                // A poll that the limit cut short saw nothing useful; keep the text of the previous one.
                last = last.filter(|_| Instant::now() >= end).or(Some(seen));
            }
            Err(_) => return Err(timed_out(last)),
        }
        // A poll uses the guest's processors: leave at least half of the time to the guest.
        let rest = pause.max(start.elapsed());
        tokio::time::sleep_until((Instant::now() + rest).min(end).into()).await;
        if Instant::now() >= end {
            return Err(timed_out(last));
        }
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wait_ends_when_a_later_poll_is_ready() {
        let mut polls = 0;
        let found = wait_until("three", Duration::from_secs(60), async || {
            polls += 1;
            match polls {
                3 => Poll::Ready("found"),
                n => Poll::NotYet(format!("{n}")),
            }
        });
        assert_eq!(found.await.unwrap(), "found");
    }

    #[tokio::test]
    async fn watcher_receives_what_each_poll_saw() {
        let received = Arc::new(std::sync::Mutex::new(Vec::new()));
        let theirs = Arc::clone(&received);
        let watcher: Watcher = Arc::new(move |what, seen| {
            theirs.lock().unwrap().push(format!("{what}: {seen}"));
        });
        let mut polls = 0;
        let wait = wait_until("the sun", Duration::from_secs(60), async || {
            polls += 1;
            match polls {
                3 => Poll::Ready(()),
                n => Poll::NotYet(format!("cloud {n}")),
            }
        });
        watched(watcher, wait).await.unwrap();
        assert_eq!(
            *received.lock().unwrap(),
            ["the sun: cloud 1", "the sun: cloud 2"]
        );
    }

    #[tokio::test]
    async fn timeout_names_what_was_seen_last() {
        let wait = wait_until("a miracle", Duration::from_millis(30), async || {
            Poll::<()>::NotYet("rain".into())
        });
        assert_eq!(
            wait.await.unwrap_err().to_string(),
            "timed out after 0.0 s waiting for a miracle; last seen: rain"
        );
    }

    #[tokio::test]
    async fn timeout_ignores_a_poll_that_the_limit_cut_short() {
        let mut polls = 0;
        let limit = Duration::from_millis(100);
        let wait = wait_until("a miracle", limit, async || {
            polls += 1;
            if polls == 1 {
                return Poll::<()>::NotYet("rain".into());
            }
            // Like a poll that uses all of the remaining time.
            std::thread::sleep(limit);
            Poll::NotYet("no time to poll".into())
        });
        assert!(matches!(
            wait.await,
            Err(WaitError::Deadline { last, .. }) if last == "rain"
        ));
        let only = wait_until("a miracle", Duration::ZERO, async || {
            Poll::<()>::NotYet("no time to poll".into())
        });
        assert!(matches!(
            only.await,
            Err(WaitError::Deadline { last, .. }) if last == "no time to poll"
        ));
    }

    #[tokio::test]
    async fn poll_that_hangs_is_cancelled_at_the_limit() {
        let wait = wait_until("an answer", Duration::from_millis(30), async || {
            std::future::pending::<Poll<()>>().await
        });
        assert!(matches!(
            wait.await,
            Err(WaitError::Deadline { last, .. }) if last == "nothing"
        ));
    }

    #[tokio::test]
    async fn wait_ends_when_a_poll_fails() {
        let wait = wait_until("the door", Duration::from_secs(60), async || {
            Poll::<()>::Failed("it is walled up".into())
        });
        assert_eq!(
            wait.await.unwrap_err().to_string(),
            "the door failed: it is walled up"
        );
    }
}

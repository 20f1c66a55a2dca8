//! Waiting: the one function that does it, and how deadlines know the host.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first pause between two looks; each next one is half as long again, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Looks never lie further apart than this, so that a verdict is not late.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

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

impl WaitError {
    /// The deadline of `what` passed; `last` is what was seen instead.
    pub fn deadline(what: &str, limit: Duration, last: impl Into<String>) -> Self {
        Self::Deadline {
            what: what.into(),
            limit,
            last: last.into(),
        }
    }

    /// `what` can no longer come true.
    pub fn failed(what: &str, why: impl Into<String>) -> Self {
        Self::Failed {
            what: what.into(),
            why: why.into(),
        }
    }
}

/// Hears what is waited for, and what was seen instead.
pub type Watcher = Arc<dyn Fn(&str, &str) + Send + Sync>;

tokio::task_local! {
    static WATCHER: Watcher;
}

/// Does `work`, and tells `watcher` of each look that found "not yet" meanwhile in this task.
pub async fn watched<F: Future>(watcher: Watcher, work: F) -> F::Output {
    WATCHER.scope(watcher, work).await
}

/// Tells who watches, if anybody does, what is waited for and what was seen instead.
pub fn tell(what: &str, seen: &str) {
    let _ = WATCHER.try_with(|watcher| watcher(what, seen));
}

/// Looks at a condition until it holds, fails, or `limit` passes. A look that itself does not come
/// back is given up at the limit, too.
///
/// # Errors
/// See [`WaitError`].
pub async fn wait_until<T, F>(what: &str, limit: Duration, mut look: F) -> Result<T, WaitError>
where
    F: AsyncFnMut() -> Poll<T>,
{
    let end = Instant::now() + limit;
    let mut last = None;
    let passed = |last: Option<String>| {
        WaitError::deadline(what, limit, last.unwrap_or_else(|| "nothing".into()))
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        match tokio::time::timeout_at(end.into(), look()).await {
            Ok(Poll::Ready(value)) => return Ok(value),
            Ok(Poll::Failed(why)) => return Err(WaitError::failed(what, why)),
            Ok(Poll::NotYet(seen)) => {
                tell(what, &seen);
                // What had no time to look tells only that; the look before saw something.
                last = last.filter(|_| Instant::now() >= end).or(Some(seen));
            }
            Err(_) => return Err(passed(last)),
        }
        // A look at a guest takes its processors from what is waited for: half of the time is its own.
        let rest = pause.max(begun.elapsed());
        tokio::time::sleep_until((Instant::now() + rest).min(end).into()).await;
        if Instant::now() >= end {
            return Err(passed(last));
        }
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_on_a_later_look() {
        let mut looks = 0;
        let found = wait_until("three", Duration::from_secs(60), async || {
            looks += 1;
            match looks {
                3 => Poll::Ready("found"),
                n => Poll::NotYet(format!("{n}")),
            }
        });
        assert_eq!(found.await.unwrap(), "found");
    }

    #[tokio::test]
    async fn who_watches_hears_what_was_seen() {
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let theirs = Arc::clone(&heard);
        let watcher: Watcher = Arc::new(move |what, seen| {
            theirs.lock().unwrap().push(format!("{what}: {seen}"));
        });
        let mut looks = 0;
        let wait = wait_until("the sun", Duration::from_secs(60), async || {
            looks += 1;
            match looks {
                3 => Poll::Ready(()),
                n => Poll::NotYet(format!("cloud {n}")),
            }
        });
        watched(watcher, wait).await.unwrap();
        assert_eq!(
            *heard.lock().unwrap(),
            ["the sun: cloud 1", "the sun: cloud 2"]
        );
    }

    #[tokio::test]
    async fn the_deadline_says_what_was_seen_last() {
        let wait = wait_until("a miracle", Duration::from_millis(30), async || {
            Poll::<()>::NotYet("rain".into())
        });
        assert_eq!(
            wait.await.unwrap_err().to_string(),
            "a miracle did not happen within 0.0 s; last seen: rain"
        );
    }

    #[tokio::test]
    async fn what_the_deadline_cut_short_is_not_what_was_seen_last() {
        let mut looks = 0;
        let limit = Duration::from_millis(100);
        let wait = wait_until("a miracle", limit, async || {
            looks += 1;
            if looks == 1 {
                return Poll::<()>::NotYet("rain".into());
            }
            // As a look does that has all the time there is, and no more.
            std::thread::sleep(limit);
            Poll::NotYet("no time to look".into())
        });
        assert!(matches!(
            wait.await,
            Err(WaitError::Deadline { last, .. }) if last == "rain"
        ));
        let only = wait_until("a miracle", Duration::ZERO, async || {
            Poll::<()>::NotYet("no time to look".into())
        });
        assert!(matches!(
            only.await,
            Err(WaitError::Deadline { last, .. }) if last == "no time to look"
        ));
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_given_up() {
        let wait = wait_until("an answer", Duration::from_millis(30), async || {
            std::future::pending::<Poll<()>>().await
        });
        assert!(matches!(
            wait.await,
            Err(WaitError::Deadline { last, .. }) if last == "nothing"
        ));
    }

    #[tokio::test]
    async fn failure_ends_the_wait() {
        let wait = wait_until("the door", Duration::from_secs(60), async || {
            Poll::<()>::Failed("it is walled up".into())
        });
        assert_eq!(
            wait.await.unwrap_err().to_string(),
            "the door failed: it is walled up"
        );
    }
}

//! A guest that has come to rest.
//!
//! What a guest is at when it is saved, each machine that goes on from there does anew, with all
//! of its code still to be translated: just after a boot that is seconds of work and tens of MB.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Machine;
use base::wait::{Poll, wait_until};

/// How long a guest must rest.
const WINDOW: Duration = Duration::from_secs(1);
/// Of one processor of this host: what QEMU takes for a guest that only waits.
const REST: f64 = 0.03;

impl Machine {
    /// Waits until the guest has next to nothing to do; one that never rests is left alone after
    /// `limit`. Connections on which Docker was reached are closed: each machine that goes on from
    /// here would have to end them.
    pub async fn settle(&self, limit: Duration) {
        self.forwards.lock().await.clear();
        rests(self.pid(), limit).await;
    }
}

/// Whether a process comes to rest. One that is gone, or whose time the host does not tell, does.
async fn rests(pid: u32, limit: Duration) -> bool {
    let mut since = (Instant::now(), processor_time(pid));
    let look = async || {
        let window = since.0.elapsed();
        if window < WINDOW {
            return Poll::NotYet("it was looked at for too short".into());
        }
        let (before, now) = (since.1, processor_time(pid));
        since = (Instant::now(), now);
        match before.zip(now) {
            None => Poll::Ready(()),
            Some((before, now)) => match now.saturating_sub(before).div_duration_f64(window) {
                ..REST => Poll::Ready(()),
                part => Poll::NotYet(format!("{part:.2} of a processor used")),
            },
        }
    };
    wait_until("a guest at rest", limit, look).await.is_ok()
}

/// What all threads of a process had of processors so far.
fn processor_time(pid: u32) -> Option<Duration> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")).ok()?;
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ')
            .next()?
            .parse()
            .ok()
            .map(Duration::from_nanos)
    };
    let times: Vec<_> = tasks.flatten().filter_map(of).collect();
    (!times.is_empty()).then(|| times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::process::Owned;
    use std::process::Command;

    #[tokio::test]
    async fn a_process_that_waits_rests_and_one_that_works_does_not() {
        let spawn = |script: &str| {
            Owned::spawn({
                let mut command = Command::new("sh");
                command.args(["-c", script]);
                command
            })
        };
        let waits = spawn("exec sleep 600").unwrap();
        let works = spawn("while :; do :; done").unwrap();
        assert!(rests(waits.pid(), Duration::from_secs(60)).await);
        assert!(!rests(works.pid(), WINDOW * 5 / 2).await);
        let pid = works.pid();
        drop(works);
        assert!(rests(pid, Duration::from_secs(60)).await);
    }
}

//! Waits until a guest is idle.
//!
//! Work that a guest has in progress when a checkpoint is made is repeated by each fork, with all of
//! its code translated again. Just after a boot that is seconds of work and tens of MB.

use std::path::Path;
use std::time::{Duration, Instant};

use super::machine::Machine;
use base::wait::{Poll, wait_until};

/// How long a guest must be idle.
const WINDOW: Duration = Duration::from_secs(1);
/// Fraction of one host processor that QEMU uses for an idle guest.
const REST: f64 = 0.03;

impl Machine {
    /// Waits until the guest is almost idle, for at most `limit`; a guest that is never idle is no
    /// error. Closes the connections to Docker: each fork would have to end them.
    pub async fn settle(&self, limit: Duration) {
        self.forwards.lock().await.clear();
        rests(self.pid(), limit).await;
    }
}

/// Whether a process becomes idle. Returns `true` for a process that has exited, or whose processor time
/// the host does not report.
async fn rests(pid: u32, limit: Duration) -> bool {
    let mut since = (Instant::now(), processor_time(pid));
    let look = async || {
        let window = since.0.elapsed();
        if window < WINDOW {
            return Poll::NotYet("the measurement is too short".into());
        }
        let (before, now) = (since.1, processor_time(pid));
        since = (Instant::now(), now);
        match before.zip(now) {
            None => Poll::Ready(()),
            Some((before, now)) => match now.saturating_sub(before).div_duration_f64(window) {
                ..REST => Poll::Ready(()),
                part => Poll::NotYet(format!("{part:.2} of a processor in use")),
            },
        }
    };
    wait_until("an idle guest", limit, look).await.is_ok()
}

/// Processor time of all threads of a process so far.
fn processor_time(pid: u32) -> Option<Duration> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")).ok()?;
    let task_time = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ')
            .next()?
            .parse()
            .ok()
            .map(Duration::from_nanos)
    };
    let times: Vec<_> = tasks.flatten().filter_map(task_time).collect();
    (!times.is_empty()).then(|| times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::process::Owned;
    use std::process::Command;

    #[tokio::test]
    async fn waiting_process_is_idle_and_busy_process_is_not() {
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

//! Ends all processes of the machine but PID 1 and this one.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The timeout for processes to exit after SIGTERM.
const TERM_TIMEOUT: Duration = Duration::from_secs(2);

/// The timeout for killed processes to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval of polling: the kernel reports the end of children only.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// kill(2) with this PID signals all processes but PID 1 and the caller.
const ALL: Pid = Pid::from_raw(-1);

/// Kills the processes that run a program of the initrd.
pub(crate) fn kill_program(name: &str) {
    let path = format!("{}/{name}", sys::PROGRAMS);
    for pid in others() {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).next() == Some(path.as_bytes()) {
            // It fails if the process has just exited.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Sends SIGTERM to all of them, and waits until they have exited or the timeout expires.
pub(crate) fn terminate_all() {
    // It fails if there are none.
    let _ = kill(ALL, Signal::SIGTERM);
    wait_for_none(TERM_TIMEOUT);
}

/// Kills all of them.
pub(crate) fn kill_all() {
    let _ = kill(ALL, Signal::SIGKILL);
    wait_for_none(KILL_TIMEOUT);
}

fn wait_for_none(limit: Duration) {
    let deadline = Instant::now() + limit;
    while others().any(is_alive) && Instant::now() < deadline {
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn others() -> impl Iterator<Item = Pid> {
    let own = std::process::id().cast_signed();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(move |pid| *pid != 1 && *pid != own)
        .map(Pid::from_raw)
}

/// Whether a process is neither a kernel thread nor a zombie.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    has_memory(&stat)
}

/// Whether a line of proc_pid_stat(5) is of a process with memory: field 23. The name before it may have
/// spaces and parentheses.
fn has_memory(stat: &str) -> bool {
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
    let size = fields.and_then(|fields| fields.split_whitespace().nth(20));
    size.is_some_and(|size| size != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_alive_when_it_has_memory() {
        assert!(is_alive(Pid::this()));
        let kernel = "2 (a ) b) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 4 0 0 1";
        assert!(!has_memory(kernel));
        assert!(has_memory(&kernel.replace(" 4 0 0 1", " 4 8192 0 1")));
        assert!(!has_memory(""));
    }
}

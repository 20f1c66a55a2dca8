//! Ends the processes of the machine, all but PID 1 and this one.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long processes have to end when they are asked to.
const ASKED: Duration = Duration::from_secs(2);

/// How long the kernel may take to end those that are killed.
const KILLED: Duration = Duration::from_secs(2);

/// How often it is looked: the kernel tells of the end of children alone.
const LOOK: Duration = Duration::from_millis(20);

/// All processes but PID 1 and this one: kill(2).
const ALL: Pid = Pid::from_raw(-1);

/// Kills those that run a program of the initrd.
pub fn kill_program(name: &str) {
    let path = format!("{}/{name}", crate::PROGRAMS);
    for pid in others() {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).next() == Some(path.as_bytes()) {
            // One that has just ended needs no signal.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Asks all of them to end, and waits for those that do.
pub fn end_all() {
    // There may be none.
    let _ = kill(ALL, Signal::SIGTERM);
    wait_for_none(ASKED);
}

/// Kills all of them.
pub fn kill_all() {
    let _ = kill(ALL, Signal::SIGKILL);
    wait_for_none(KILLED);
}

fn wait_for_none(limit: Duration) {
    let deadline = Instant::now() + limit;
    while others().any(is_alive) && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
}

fn others() -> impl Iterator<Item = Pid> {
    let own = std::process::id().cast_signed();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(move |pid| *pid != 1 && *pid != own)
        .map(Pid::from_raw)
}

/// Neither a thread of the kernel nor one whose end nobody has asked about.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    has_memory(&stat)
}

/// Whether a line of proc_pid_stat(5) is of a process with memory: field 23 after a name that may
/// hold anything.
fn has_memory(stat: &str) -> bool {
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
    let size = fields.and_then(|fields| fields.split_whitespace().nth(20));
    size.is_some_and(|size| size != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_what_is_left_of_one() {
        assert!(is_alive(Pid::this()));
        let kernel = "2 (a ) b) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 4 0 0 1";
        assert!(!has_memory(kernel));
        assert!(has_memory(&kernel.replace(" 4 0 0 1", " 4 8192 0 1")));
        assert!(!has_memory(""));
    }
}

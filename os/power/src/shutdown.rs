//! The shutdown: stops containers, ends the remaining processes, writes file systems and makes them
//! read-only, and asks the kernel to reboot, power off or halt.
//!
//! It is a program outside all containers, because the container of the process that asks for it ends
//! during the shutdown. A timeout makes sure that the kernel is asked even if a step hangs.
//!
//! system-docker is PID 1 and cannot be ended, so the file system that it uses cannot be unmounted. It is
//! written and made read-only instead.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::reboot::{RebootMode, reboot};
use sys::report::Report;

use crate::{containers, disks, processes, remote};

/// The default timeout for containers to stop, in seconds. The user's engine gives each of its containers
/// 10 s before it kills it, and must exit itself after that.
const DEFAULT_TIMEOUT: u64 = 15;

/// The timeout for everything after the containers.
const REMAINING_TIMEOUT: Duration = Duration::from_secs(20);

/// The requested action.
struct Request {
    mode: RebootMode,
    /// The timeout for containers to stop; `None` does not stop them.
    timeout: Option<Duration>,
}

/// `power reboot|poweroff|halt [now|SECONDS]`: prints `begun`, and runs until the machine ends.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let Some(request) = parse(&arguments) else {
        eprintln!("power reboot|poweroff|halt [now|SECONDS]");
        return ExitCode::FAILURE;
    };
    leave_container();
    // The process that asked may have exited.
    let _ = writeln!(std::io::stdout(), "begun");
    let mode = request.mode;
    let limit = request.timeout.unwrap_or_default() + REMAINING_TIMEOUT;
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        Report::new().print("rancher: the shutdown timed out; skipping the remaining steps");
        end(mode);
    });
    stop(&request);
    end(mode);
    ExitCode::FAILURE
}

fn parse(arguments: &[String]) -> Option<Request> {
    let (action, timeout) = match arguments {
        [action] => (action, Some(DEFAULT_TIMEOUT)),
        [action, now] if now == "now" => (action, None),
        [action, seconds] => (action, Some(seconds.parse::<u32>().ok()?.into())),
        _ => return None,
    };
    let mode = match action.as_str() {
        "reboot" => RebootMode::RB_AUTOBOOT,
        "poweroff" => RebootMode::RB_POWER_OFF,
        "halt" => RebootMode::RB_HALT_SYSTEM,
        _ => return None,
    };
    Some(Request {
        mode,
        timeout: timeout.map(Duration::from_secs),
    })
}

/// Leaves the session and the cgroup of the console's container, whose end must not end this process.
fn leave_container() {
    let _ = nix::unistd::setsid();
    let process = std::process::id().to_string();
    if let Err(error) = std::fs::write("/sys/fs/cgroup/cgroup.procs", process) {
        eprintln!("rancher: power: cgroup.procs: {error}");
    }
}

fn stop(request: &Request) {
    let mut report = Report::new();
    report.print("rancher: the machine is going down");
    // They would restart what is stopped.
    processes::kill_program("init");
    processes::kill_program("supervisor");
    // It would take the SIGTERM that all processes get for a request of busybox.
    processes::kill_program("power-button");
    if let Some(timeout) = request.timeout {
        for problem in containers::stop(timeout) {
            report.print(&format!("rancher: {problem}"));
        }
        processes::terminate_all();
    }
    // Their connections are closed with them, so that no client waits for an answer.
    processes::kill_all();
    if let Err(error) = remote::write_all() {
        report.print(&format!("rancher: {error}"));
    }
    match disks::make_read_only() {
        Ok(()) => report.print("rancher: all file systems are read-only"),
        Err(error) => report.print(&format!("rancher: {error}")),
    }
}

fn end(mode: RebootMode) {
    let Err(error) = reboot(mode);
    Report::new().print(&format!("rancher: the kernel refused: {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(words: &[&str]) -> Option<Option<u64>> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        Some(parse(&words)?.timeout.map(|timeout| timeout.as_secs()))
    }

    #[test]
    fn parse_returns_none_when_arguments_are_invalid() {
        assert_eq!(timeout(&["reboot"]), Some(Some(DEFAULT_TIMEOUT)));
        assert_eq!(timeout(&["halt", "3"]), Some(Some(3)));
        assert_eq!(timeout(&["poweroff", "now"]), Some(None));
        assert_eq!(timeout(&["poweroff", "soon"]), None);
        assert_eq!(timeout(&["explode"]), None);
        assert_eq!(timeout(&[]), None);
    }
}

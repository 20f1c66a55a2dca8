//! The end of the machine: containers are stopped, what is left is ended, file systems are written and
//! made read-only, and the kernel is asked to restart, switch off or halt.
//!
//! A program of its own, beside all containers: who asks for it is in one that ends on the way. Whatever
//! hangs, the kernel is asked in the end.
//!
//! system-docker is PID 1 and cannot be ended, so that the file system below it cannot be unmounted. It
//! is made read-only, after all of it was written.

mod containers;
mod disks;
mod processes;
mod remote;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::reboot::{RebootMode, reboot};

use crate::report::Report;

/// How long containers have to stop where nobody said otherwise, in seconds. Docker gives each of the
/// user's ten before it kills it, and must be done itself after that.
const PATIENCE: u64 = 15;

/// For all that comes after the containers.
const REST: Duration = Duration::from_secs(20);

/// What is to become of the machine.
struct Order {
    mode: RebootMode,
    /// How long containers have to stop; none does not stop them.
    patience: Option<Duration>,
}

/// `power reboot|poweroff|halt [now|SECONDS]`: says `begun` and ends with the machine.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let Some(order) = order(&arguments) else {
        eprintln!("power reboot|poweroff|halt [now|SECONDS]");
        return ExitCode::FAILURE;
    };
    leave_the_console();
    // Whoever asked may be gone.
    let _ = writeln!(std::io::stdout(), "begun");
    let mode = order.mode;
    let limit = order.patience.unwrap_or_default() + REST;
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        Report::new().say("rancher: something hangs; the machine does not wait for it");
        end(mode);
    });
    stop(&order);
    end(mode);
    ExitCode::FAILURE
}

fn order(arguments: &[String]) -> Option<Order> {
    let (action, patience) = match arguments {
        [action] => (action, Some(PATIENCE)),
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
    Some(Order {
        mode,
        patience: patience.map(Duration::from_secs),
    })
}

/// What ends the console's container must not end this: neither a terminal that hangs up nor
/// whoever kills all that is in its cgroup.
fn leave_the_console() {
    let _ = nix::unistd::setsid();
    let process = std::process::id().to_string();
    if let Err(error) = std::fs::write("/sys/fs/cgroup/cgroup.procs", process) {
        eprintln!("rancher: power: cgroup.procs: {error}");
    }
}

fn stop(order: &Order) {
    let mut report = Report::new();
    report.say("rancher: the machine is going down");
    // They would start again what is stopped.
    processes::kill_program("init");
    processes::kill_program("supervisor");
    // It would take the signal that is sent to all for a wish.
    processes::kill_program("power-button");
    if let Some(patience) = order.patience {
        for problem in containers::stop(patience) {
            report.say(&format!("rancher: {problem}"));
        }
        processes::end_all();
    }
    // Their connections are closed with them: nobody is left waiting at the other end.
    processes::kill_all();
    if let Err(error) = remote::write_all() {
        report.say(&format!("rancher: {error}"));
    }
    match disks::make_read_only() {
        Ok(()) => report.say("rancher: all file systems are read-only"),
        Err(error) => report.say(&format!("rancher: {error}")),
    }
}

fn end(mode: RebootMode) {
    let Err(error) = reboot(mode);
    Report::new().say(&format!("rancher: the kernel refuses: {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(words: &[&str]) -> Option<Option<u64>> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        Some(order(&words)?.patience.map(|patience| patience.as_secs()))
    }

    #[test]
    fn an_order_is_understood_or_refused() {
        assert_eq!(patience(&["reboot"]), Some(Some(PATIENCE)));
        assert_eq!(patience(&["halt", "3"]), Some(Some(3)));
        assert_eq!(patience(&["poweroff", "now"]), Some(None));
        assert_eq!(patience(&["poweroff", "soon"]), None);
        assert_eq!(patience(&["explode"]), None);
        assert_eq!(patience(&[]), None);
    }
}

//! The power button, and the signals of busybox: a press powers the machine off as `poweroff` does.
//!
//! busybox's own `reboot`, `poweroff` and `halt`, which its shell runs without looking at `PATH`, send a
//! signal to a process named `linuxrc`, and to PID 1 if there is none (`init/halt.c`). So this process
//! takes that name, and does what the commands of the machine do.

use std::os::fd::AsFd;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use sys::PROGRAMS;

use crate::acpi::Acpi;

/// The process name that busybox looks for.
const NAME: &str = "linuxrc";

/// The signals that busybox sends, and the actions that they ask for (`init/halt.c`).
const SIGNALS: [(Signal, &str); 3] = [
    (Signal::SIGTERM, "reboot"),
    (Signal::SIGUSR1, "halt"),
    (Signal::SIGUSR2, "poweroff"),
];

/// Listens until the machine ends.
pub fn main() -> ExitCode {
    let button = Acpi::open();
    if let Err(error) = &button {
        eprintln!("rancher: cannot listen to the power button: {error}");
    }
    if let Err(error) = listen(button.ok()) {
        eprintln!("rancher: cannot listen to the power button and busybox: {error}");
    }
    // A restart would fail the same way.
    loop {
        std::thread::park();
    }
}

fn listen(button: Option<Acpi>) -> Result<(), String> {
    let text = |error: Errno| error.to_string();
    let wanted = SigSet::from_iter(SIGNALS.map(|(signal, _)| signal));
    wanted.thread_block().map_err(text)?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&wanted, flags).map_err(text)?;
    std::fs::write("/proc/self/comm", NAME).map_err(|error| error.to_string())?;
    loop {
        let both = [Some(signals.as_fd()), button.as_ref().map(AsFd::as_fd)];
        let both = both.into_iter().flatten();
        let mut both = Vec::from_iter(both.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut both, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(error) => return Err(text(error)),
        }
        if let Some(signal) = signals.read_signal().map_err(text)?
            && let Some(action) = action_of(signal.ssi_signo)
        {
            println!("rancher: busybox asks for `{action}`");
            run_power(action);
        }
        if let Some(button) = &button
            && button.is_pressed()?
        {
            println!("rancher: the power button was pressed");
            run_power("poweroff");
        }
    }
}

fn action_of(signal: u32) -> Option<&'static str> {
    let mut known = SIGNALS.into_iter();
    known.find_map(|(known, action)| (known as u32 == signal).then_some(action))
}

fn run_power(action: &str) {
    let program = format!("{PROGRAMS}/power");
    if let Err(error) = Command::new(program).arg(action).status() {
        eprintln!("rancher: {action}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_is_the_busybox_applet_that_sends_the_signal() {
        assert_eq!(action_of(15), Some("reboot"));
        assert_eq!(action_of(10), Some("halt"));
        assert_eq!(action_of(12), Some("poweroff"));
        assert_eq!(action_of(1), None);
    }
}

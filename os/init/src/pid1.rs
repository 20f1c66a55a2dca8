//! The program `init`: PID 1, or the keeper.

use std::os::fd::AsFd;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use sys::report::Report;
use sys::{Linux, SEARCH_PATH};

use crate::boot::Boot;
use crate::sequence::{self, Fatal};

/// As PID 1 it does not return: it becomes system-docker, or reboots the machine. With the argument
/// `keeper` it is the keeper.
pub fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("keeper") {
        return match crate::keeper::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("rancher: keeper: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if std::process::id() != 1 {
        eprintln!("init must be PID 1; only the kernel starts it");
        return ExitCode::FAILURE;
    }
    // The kernel panics when PID 1 exits.
    std::panic::set_hook(Box::new(|panic| {
        end(
            &mut Report::new(),
            &Fatal {
                stage: "init",
                error: panic.to_string(),
            },
        );
    }));
    let mut report = Report::default();
    let mut linux = Linux::default();
    let mut boot = Boot::new(&mut linux, &mut report);
    let fatal = match sequence::run(&mut boot) {
        Ok(()) => sequence::become_system_docker(&mut boot),
        Err(fatal) => fatal,
    };
    end(&mut report, &fatal);
}

/// Handles a failed boot: starts a shell if the command line allows it, and reboots.
fn end(report: &mut Report, fatal: &Fatal) -> ! {
    report.open();
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if config::from_cmdline(&cmdline).config.rescue {
        report.print(&format!(
            "rancher: {} failed; starting a rescue shell; the machine reboots when it exits",
            fatal.stage
        ));
        rescue_shell();
    } else {
        report.print("rancher: rebooting in 10 s or on a key; hint: `rancher.rescue` on the kernel command line starts a shell");
        wait_for_key();
    }
    // An error cannot be handled any more.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    loop {
        std::thread::park();
    }
}

/// The delay before the reboot, for people to read the error, in milliseconds.
const REBOOT_DELAY: u16 = 10_000;

fn wait_for_key() {
    if let Ok(console) = std::fs::File::open("/dev/console") {
        let _ = poll(
            &mut [PollFd::new(console.as_fd(), PollFlags::POLLIN)],
            PollTimeout::from(REBOOT_DELAY),
        );
    }
}

/// Runs a shell. The initrd has busybox, too, in case the root cannot be mounted.
fn rescue_shell() {
    let busybox = ["/rancher/busybox", "/usr/bin/busybox"];
    let Some(busybox) = busybox
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
    else {
        return;
    };
    // `cttyhack` makes the console the shell's controlling terminal, so that Ctrl-C works.
    let _ = std::process::Command::new(busybox)
        .args(["setsid", "cttyhack", "sh"])
        .env("PATH", SEARCH_PATH)
        .status();
}

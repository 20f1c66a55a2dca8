//! PID 1, and the keeper beside it.

use std::os::fd::AsFd;
use std::process::ExitCode;

use crate::report::Report;
use crate::stages::{Boot, Fatal};
use crate::sys::Linux;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};

/// Does not come back as PID 1: it becomes system-docker, or the machine reboots.
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
        eprintln!("init is PID 1 of the machine; it is started by the kernel and by nobody else");
        return ExitCode::FAILURE;
    }
    // A panic of PID 1 would be one of the kernel.
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
    let fatal = match boot.run() {
        Ok(()) => boot.become_system_docker(),
        Err(fatal) => fatal,
    };
    end(&mut report, &fatal);
}

/// What is left when there is no machine: a shell where the command line allows it, and a reboot.
fn end(report: &mut Report, fatal: &Fatal) -> ! {
    report.open();
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if config::from_cmdline(&cmdline).config.rescue {
        report.say(&format!(
            "rancher: a shell, because {} failed; its end reboots",
            fatal.stage
        ));
        rescue_shell();
    } else {
        report.say("rancher: rebooting in 10 s or on a key; `rancher.rescue` on the kernel command line gives a shell");
        wait_for_key();
    }
    // Whether it works cannot be told to anybody any more.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    loop {
        std::thread::park();
    }
}

/// Time to read why, in milliseconds.
const TIME_TO_READ: u16 = 10_000;

fn wait_for_key() {
    if let Ok(console) = std::fs::File::open("/dev/console") {
        let _ = poll(
            &mut [PollFd::new(console.as_fd(), PollFlags::POLLIN)],
            PollTimeout::from(TIME_TO_READ),
        );
    }
}

/// Busybox lies in the initrd, for the case that the root cannot be mounted.
fn rescue_shell() {
    let busybox = ["/rancher/busybox", "/usr/bin/busybox"];
    let Some(busybox) = busybox
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
    else {
        return;
    };
    // `cttyhack` gives the shell its terminal, so that Ctrl-C reaches what it runs.
    let _ = std::process::Command::new(busybox)
        .args(["setsid", "cttyhack", "sh"])
        .env("PATH", crate::SEARCH_PATH)
        .status();
}

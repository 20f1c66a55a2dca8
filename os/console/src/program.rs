//! The program: configures the console, then keeps the login programs running.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use config::Loaded;
use nix::poll::PollFlags;
use nix::sys::inotify::Inotify;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sys::report::Report;
use sys::respawn::{Program, keep_running, keep_running_with};
use sys::{Linux, Sys as _};

use crate::users::Users;
use crate::{authorized_keys, cloud_init, host_keys, logins, rancher, sshd, start_script};

/// The folder for programs that people install, which persists; the consoles' images have it in `PATH`.
const OWN_PROGRAMS: &str = "/opt/bin";

/// Commands that each console has, whichever image it uses: links to `rancherctl`. Commands that need no
/// root are in `/usr/bin`.
const COMMANDS: [&str; 3] = [
    "/usr/sbin/init",
    "/usr/sbin/telinit",
    "/usr/bin/wait-for-docker",
];

/// Runs the console. A part that cannot be configured is reported and left out, except for those without
/// which nobody could log in.
pub fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(start_script::NAME) => return start_script::main(),
        Some(sshd::NAME) => return sshd::main(),
        _ => (),
    }
    if let Err(error) = check_image(logins::missing(), rancher::create_accounts) {
        // The supervisor starts the default console after a failure.
        eprintln!("this image is not a console: {error}");
        return ExitCode::FAILURE;
    }
    let mut report = Report::new();
    enter_tree(&mut report);
    let loaded = config::load_machine();
    for problem in &loaded.problems {
        report.print(&format!("rancher: {problem}"));
    }
    for (part, result) in configure(&loaded) {
        if let Err(error) = result {
            report.print(&format!("rancher: console: {part}: {error}"));
        }
    }
    if std::env::args().nth(1).as_deref() == Some("set-up") {
        return ExitCode::SUCCESS;
    }
    run(&loaded, &mut report)
}

/// Starts what is left to start, and keeps the login programs running.
fn run(loaded: &Loaded, report: &mut Report) -> ExitCode {
    // Users have no core files unless they raise the limit; containers have the engine's limit.
    let no_core_files = |(_, hard)| setrlimit(Resource::RLIMIT_CORE, 0, hard);
    let _ = getrlimit(Resource::RLIMIT_CORE).and_then(no_core_files);
    let users = restore_users(report);
    cloud_init::run(report);
    if let Err(error) = start_script::start() {
        report.print(&format!("rancher: console: start.sh: {error}"));
    }
    match keep_logins(&users, logins::programs(&loaded.config), report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.print(&format!("rancher: console: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether people can log in to this image, after `create_accounts` has added the user `rancher`: an SSH
/// server that listens but lets nobody in would look like a working console.
fn check_image(
    missing: Option<&str>,
    create_accounts: impl FnOnce() -> Result<()>,
) -> std::result::Result<(), String> {
    match missing {
        Some(file) => Err(format!("it has no {file}")),
        None => {
            create_accounts().map_err(|error| format!("it cannot have the user rancher: {error}"))
        }
    }
}

fn enter_tree(report: &mut Report) {
    let mut print = |error: String| report.print(&format!("rancher: console: tree: {error}"));
    if let Err(error) = tree::console::enter_tree(&mut print) {
        print(error.to_string());
    }
}

/// Configures each part independently: a failure of one must not lock out people whom another part lets
/// in.
fn configure(loaded: &Loaded) -> [(&'static str, Result<()>); 7] {
    let config = &loaded.config;
    [
        ("hostname", set_hostname(&config.hostname)),
        ("home", rancher::create_home()),
        (OWN_PROGRAMS, std::fs::create_dir_all(OWN_PROGRAMS)),
        (
            "password",
            rancher::set_password(config.password.as_deref()),
        ),
        ("authorized keys", authorized_keys::install(loaded)),
        ("host keys", host_keys::install(&config.ssh.keys)),
        ("commands", link_commands()),
    ]
}

/// Sets the host name, unless the machine has it already.
fn set_hostname(name: &str) -> Result<()> {
    let mut linux = Linux::default();
    let current = linux.read("/proc/sys/kernel/hostname").unwrap_or_default();
    if current.trim() == name {
        return Ok(());
    }
    settings::set_hostname(&mut linux, name).map_err(Error::other)
}

fn link_commands() -> Result<()> {
    for path in COMMANDS {
        match std::os::unix::fs::symlink("/usr/bin/rancherctl", path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => (),
        }
    }
    Ok(())
}

/// Adds the users of earlier consoles, and watches for changes. If that fails, users are not saved either:
/// all would be lost.
fn restore_users(report: &mut Report) -> Option<(Users, Inotify)> {
    let users = Users::of_console();
    let restored = users.restore().and_then(|()| Ok(users.watch()?));
    match restored {
        Ok(changes) => Some((users, changes)),
        Err(error) => {
            report.print(&format!("rancher: console: users: {error}"));
            None
        }
    }
}

/// Keeps the login programs running, and saves users whenever they change.
fn keep_logins(
    users: &Option<(Users, Inotify)>,
    programs: Vec<Program>,
    report: &mut Report,
) -> nix::Result<()> {
    let Some((users, changes)) = users else {
        return keep_running(programs);
    };
    keep_running_with(&[(changes.as_fd(), PollFlags::POLLIN)], || {
        while changes.read_events().is_ok() {}
        if let Err(error) = users.save() {
            report.print(&format!("rancher: console: users: {error}"));
        }
        programs.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_image_fails_when_nobody_could_log_in() {
        assert_eq!(check_image(None, || Ok(())), Ok(()));
        let error = check_image(Some("/bin/bash"), || Ok(()));
        assert_eq!(error.unwrap_err(), "it has no /bin/bash");
        let error = check_image(None, || Err(Error::other("/etc/shadow: none")));
        assert_eq!(
            error.unwrap_err(),
            "it cannot have the user rancher: /etc/shadow: none"
        );
    }
}

//! The console's first program: makes the configured people able to log in, then keeps the logins
//! running.
//!
//! It is mounted into whatever image the console is, so another console needs nothing but the
//! programs it starts.

mod host_keys;
mod keys;
mod logins;
mod people;
mod sshd;
mod start_script;
mod users;

use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode, Stdio};

use config::Loaded;
use nix::poll::PollFlags;
use nix::sys::inotify::Inotify;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use people::People;

use crate::report::Report;
use crate::respawn::{Program, keep, keep_wanted};
use crate::sys::{Linux, Sys as _};

/// Where cloud-init is.
const CLOUD_INIT: &str = "/usr/lib/rancher/cloud-init";

/// What is left to do for it, the words that it is called with.
const CLOUD_INIT_TO_DO: &str = "/run/cloud-init/to-do";

/// Where people put programs of their own, which persist; the consoles' images have it in `PATH`.
const OWN_PROGRAMS: &str = "/opt/bin";

/// Sets the console up and keeps it; a part that cannot be set up is reported and left out, but for
/// the one without which nobody could log in.
pub fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(start_script::NAME) => return start_script::main(),
        Some(sshd::NAME) => return sshd::main(),
        _ => (),
    }
    if let Err(why) = is_console(logins::missing(), users::accounts) {
        // Another console can take its place as long as this one says that it is none.
        eprintln!("this image is no console: {why}");
        return ExitCode::FAILURE;
    }
    let mut report = Report::new();
    let mut tell = |what: String| report.say(&format!("rancher: console: tree: {what}"));
    if let Err(error) = crate::tree::console::enter_tree(&mut tell) {
        tell(error.to_string());
    }
    let loaded = config::load_machine();
    for problem in &loaded.problems {
        report.say(&format!("rancher: {problem}"));
    }
    for (what, done) in set_up(&loaded) {
        if let Err(error) = done {
            report.say(&format!("rancher: console: {what}: {error}"));
        }
    }
    if std::env::args().nth(1).as_deref() == Some("set-up") {
        return ExitCode::SUCCESS;
    }
    // Who logs in has no core files unless they ask for them; containers have what the engine has.
    let no_core_files = |(_, hard)| setrlimit(Resource::RLIMIT_CORE, 0, hard);
    let _ = getrlimit(Resource::RLIMIT_CORE).and_then(no_core_files);
    let people = known_people(&mut report);
    cloud_init(&mut report);
    if let Err(error) = start_script::begin() {
        report.say(&format!("rancher: console: start.sh: {error}"));
    }
    match keep_all(&people, logins::programs(&loaded.config), &mut report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.say(&format!("rancher: console: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether people can log in here, once `accounts` has made them known: a server that listens and
/// lets nobody in would be taken for a console that works.
fn is_console(
    missing: Option<&str>,
    accounts: impl FnOnce() -> std::io::Result<()>,
) -> Result<(), String> {
    match missing {
        Some(file) => Err(format!("it has no {file}")),
        None => accounts().map_err(|error| format!("it cannot have a user rancher: {error}")),
    }
}

/// Makes people known here who were added in a console before. Where that fails nobody is kept: all
/// would be forgotten.
fn known_people(report: &mut Report) -> Option<(People, Inotify)> {
    let people = People::here();
    let known = people.restore().and_then(|()| Ok(people.watch()?));
    match known {
        Ok(changes) => Some((people, changes)),
        Err(error) => {
            report.say(&format!("rancher: console: people: {error}"));
            None
        }
    }
}

/// Keeps the logins running, and who is added meanwhile.
fn keep_all(
    people: &Option<(People, Inotify)>,
    programs: Vec<Program>,
    report: &mut Report,
) -> nix::Result<()> {
    let Some((people, changes)) = people else {
        return keep(programs);
    };
    keep_wanted(&[(changes.as_fd(), PollFlags::POLLIN)], || {
        while changes.read_events().is_ok() {}
        if let Err(error) = people.keep() {
            report.say(&format!("rancher: console: people: {error}"));
        }
        programs.clone()
    })
}

/// Has cloud-init do what is left to do here: what it writes is there before anything else starts,
/// and what may take long is not waited for.
fn cloud_init(report: &mut Report) {
    // Nothing is, where it is not there.
    let to_do = std::fs::read_to_string(CLOUD_INIT_TO_DO).unwrap_or_default();
    let mut program = |word: &str| {
        let mut command = Command::new(CLOUD_INIT);
        command.arg(word).stdin(Stdio::null());
        command.spawn().map_err(|error| {
            report.say(&format!("rancher: console: {CLOUD_INIT} {word}: {error}"));
        })
    };
    let is_left = |wanted| to_do.split_whitespace().any(|word| word == wanted);
    if is_left("write")
        && let Ok(mut write) = program("write")
    {
        // It says itself what went wrong.
        let _ = write.wait();
    }
    if is_left("finish") {
        #[allow(clippy::zombie_processes, reason = "`keep` waits for every child")]
        let _ = program("finish");
    }
}

/// Each part by itself: one that fails must not lock out those whom the others let in.
fn set_up(loaded: &Loaded) -> [(&'static str, std::io::Result<()>); 7] {
    let config = &loaded.config;
    [
        ("hostname", hostname(&config.hostname)),
        ("home", users::home()),
        (OWN_PROGRAMS, std::fs::create_dir_all(OWN_PROGRAMS)),
        ("password", users::password(config.password.as_deref())),
        ("authorized keys", keys::lay_out(loaded)),
        ("host keys", host_keys::lay_out(&config.ssh.keys)),
        ("commands", commands()),
    ]
}

/// What people type, whatever the image has of it: each is `rancherctl` by another name. What is not
/// root's alone lies where everybody looks.
const COMMANDS: [&str; 3] = [
    "/usr/sbin/init",
    "/usr/sbin/telinit",
    "/usr/bin/wait-for-docker",
];

fn commands() -> std::io::Result<()> {
    for path in COMMANDS {
        match std::os::unix::fs::symlink("/usr/bin/rancherctl", path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => (),
        }
    }
    Ok(())
}

/// Gives the machine its name, where it has another one.
fn hostname(name: &str) -> std::io::Result<()> {
    let mut linux = Linux::default();
    let has = linux.read("/proc/sys/kernel/hostname").unwrap_or_default();
    if has.trim() == name {
        return Ok(());
    }
    crate::stages::call(&mut linux, name).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_can_be_let_in_is_no_console() {
        assert_eq!(is_console(None, || Ok(())), Ok(()));
        let why = is_console(Some("/bin/bash"), || Ok(()));
        assert_eq!(why.unwrap_err(), "it has no /bin/bash");
        let why = is_console(None, || Err(std::io::Error::other("/etc/shadow: none")));
        assert_eq!(
            why.unwrap_err(),
            "it cannot have a user rancher: /etc/shadow: none"
        );
    }
}

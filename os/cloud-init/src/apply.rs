//! In the console: writing files, and running the script.
//!
//! Once in the life of a console, which is as long as what lies in it: a console that is only started
//! again has its files and what the script did.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::inotify::AddWatchFlags;
use sys::log::RotatingLog;

use crate::files::{replace, write_files};
use crate::kept::Kept;
use crate::status::{Status, Turn};
use crate::user_data::Told;
use crate::{people, save, say, tell_console, watch};

/// What the console has of its own, thrown away with it.
const FOLDER: &str = "/etc/cloud-init";

/// Is there when the script was begun in this console.
const BEGUN: &str = "/etc/cloud-init/begun";

/// The script.
const SCRIPT: &str = "/etc/cloud-init/script";

/// `runcmd`, as a script.
const COMMANDS: &str = "/etc/cloud-init/runcmd";

/// `bootcmd`, as a script.
const BOOT_COMMANDS: &str = "/etc/cloud-init/bootcmd";

/// How long nobody can log in because of `bootcmd`.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// What the script says.
const LOG: &str = "/var/log/cloud-init.log";

/// The console's first program; it makes people able to log in, also once more.
const CONSOLE: &str = "/usr/lib/rancher/console";

/// How long a script waits for the user's Docker, before it begins without.
const DOCKER_LIMIT: Duration = Duration::from_secs(120);

/// For the last words of a script that has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// When the console starts: the files of what is known by now.
pub(crate) fn write() -> Result<(), String> {
    let mut status = Status::read();
    // What is still being asked may say something else.
    if Path::new(BEGUN).exists() || status.turn == Turn::Asking {
        return Ok(());
    }
    let told = Kept::of_machine().told();
    boot_commands(&told, &mut status);
    people::make(&told, &mut status);
    write_files(&told, &mut status);
    status.write();
    Ok(())
}

/// When people can log in: asks who was not asked yet, and runs the script.
pub(crate) fn finish() -> Result<(), String> {
    if Path::new(BEGUN).exists() {
        return Ok(());
    }
    let mut status = Status::read();
    let kept = match status.turn {
        Turn::Asking => {
            let kept = save::save_all(&mut status);
            // Also where nothing could be kept, what was kept before holds.
            all(&mut status)?;
            kept
        }
        _ => script(&Kept::of_machine().told(), &mut status),
    };
    match status.turn {
        Turn::NoAnswer => kept.and(late(&mut status)),
        _ => kept,
    }
}

/// Does what a volume says that comes late, as far as it was not done already.
fn late(status: &mut Status) -> Result<(), String> {
    let before = Kept::of_machine().state();
    let kept = save::save_late(status);
    let now = Kept::of_machine().state();
    if now.user_data != before.user_data {
        all(status)?;
    } else if now.layer != before.layer {
        set_up_console();
    }
    kept
}

/// Does what is kept.
pub(crate) fn all(status: &mut Status) -> Result<(), String> {
    set_up_console();
    let told = Kept::of_machine().told();
    boot_commands(&told, status);
    people::make(&told, status);
    write_files(&told, status);
    status.write();
    script(&told, status)
}

/// Has the console heed its configuration.
fn set_up_console() {
    let done = Command::new(CONSOLE)
        .arg("set-up")
        .stdin(Stdio::null())
        .status();
    match done {
        Ok(status) if status.success() => (),
        Ok(status) => say(&format!("the console cannot be set up: {status}")),
        Err(error) => say(&format!("the console cannot be set up: {error}")),
    }
}

/// Runs `bootcmd`, and waits for its end, but not for ever: people cannot log in yet.
fn boot_commands(told: &Told, status: &mut Status) {
    let Some(script) = &told.boot_commands else {
        return;
    };
    let script = script.clone();
    let (ended, has_ended) = mpsc::channel();
    // What goes on longer is a child of the console's first program.
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = ended.send(run_quietly(&script, BOOT_COMMANDS));
    });
    let became = match has_ended.recv_timeout(BOOT_LIMIT) {
        Ok(Ok(code)) => format!("it ended with {code}"),
        Ok(Err(why)) => why,
        Err(_) => format!(
            "it still runs after {} s and is not waited for",
            BOOT_LIMIT.as_secs()
        ),
    };
    status.bootcmd = Some(became.clone());
    match std::fs::read_to_string(LOG) {
        _ if became != SUCCESS => say(&format!("bootcmd: {became}; see {LOG}")),
        Ok(log) => {
            let reports = log.lines().filter(|line| line.starts_with("bootcmd, line"));
            reports.for_each(say);
        }
        Err(_) => (),
    }
}

/// How a script ends that has nothing to complain of.
const SUCCESS: &str = "it ended with exit status: 0";

/// Runs a script whose output goes to the log alone.
fn run_quietly(script: &[u8], path: &str) -> Result<std::process::ExitStatus, String> {
    let told = |error: std::io::Error| error.to_string();
    replace(path.as_ref(), script, 0o700, (0, 0)).map_err(told)?;
    let mut options = OpenOptions::new();
    let log = options.create(true).append(true).mode(0o600);
    let log = log.open(LOG).map_err(told)?;
    let errors = log.try_clone().map_err(told)?;
    let mut command = program(path);
    command.stdout(log).stderr(errors);
    command.status().map_err(told)
}

/// Runs the script or `runcmd`, if there is one, and waits for its end.
fn script(told: &Told, status: &mut Status) -> Result<(), String> {
    replace(BEGUN.as_ref(), b"", 0o600, (0, 0)).map_err(|error| format!("{FOLDER}: {error}"))?;
    if let Some(script) = &told.script {
        status.script = Some("it runs".into());
        status.script = Some(run_with_docker(script, SCRIPT, "the script", status)?);
    }
    if let Some(commands) = &told.commands {
        let kept = Kept::of_machine();
        if kept.has_run(commands) {
            status.runcmd = Some("it ran in an earlier boot".into());
        } else {
            status.runcmd = Some("it runs".into());
            status.runcmd = Some(run_with_docker(commands, COMMANDS, "runcmd", status)?);
            kept.remember_run(commands)?;
        }
    }
    status.write();
    Ok(())
}

/// Runs a script when the user's Docker answers; how it ended.
fn run_with_docker(
    script: &[u8],
    path: &str,
    name: &str,
    status: &Status,
) -> Result<String, String> {
    replace(path.as_ref(), script, 0o700, (0, 0)).map_err(|e| format!("{path}: {e}"))?;
    status.write();
    if !answers(config::USER_DOCKER.as_ref(), DOCKER_LIMIT).unwrap_or(false) {
        let limit = DOCKER_LIMIT.as_secs();
        say(&format!("no Docker after {limit} s; {name} begins without"));
    }
    let ended = run(script, path);
    match &ended {
        Ok(code) if code.success() => (),
        Ok(code) => say(&format!("{name} ended with {code}; see {LOG}")),
        Err(why) => say(&format!("{name} cannot be run: {why}")),
    }
    Ok(ended.map_or_else(|why| why, |code| format!("it ended with {code}")))
}

/// Whether somebody takes connections on a socket, once they had their time.
fn answers(socket: &Path, limit: Duration) -> nix::Result<bool> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    // An engine that listens gives its socket an owner and a mode.
    let owned = AddWatchFlags::IN_ATTRIB;
    let found = watch::look(folder, owned, limit, || UnixStream::connect(socket).ok())?;
    Ok(found.is_some())
}

/// A program with what it may rely on around it.
fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    command
        .current_dir("/")
        .env("HOME", "/root")
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .stdin(Stdio::null());
    command
}

fn run(script: &[u8], path: &str) -> Result<std::process::ExitStatus, String> {
    let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
    let errors = writer.try_clone().map_err(|error| error.to_string())?;
    let mut command = program(path);
    command.stdout(writer).stderr(errors);
    let child = command.spawn();
    // Its ends of the pipe, which would keep it open.
    drop(command);
    let mut child = child.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("this console has no {}", interpreter(script)),
        _ => error.to_string(),
    })?;
    let (copied, all_copied) = mpsc::channel();
    std::thread::spawn(move || {
        copy(reader);
        // Nobody may be waiting any more.
        let _ = copied.send(());
    });
    let ended = child.wait().map_err(|error| error.to_string());
    // A program that it left behind may hold the pipe: what it says is no longer waited for.
    let _ = all_copied.recv_timeout(LAST_WORDS);
    ended
}

/// What the script's first line names.
fn interpreter(script: &[u8]) -> String {
    let line = script
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    line.trim_start_matches("#!")
        .trim()
        .escape_default()
        .to_string()
}

/// Copies lines to the log and to the console.
fn copy(pipe: std::io::PipeReader) {
    let mut log = RotatingLog::open(LOG.as_ref()).ok();
    for line in BufReader::new(pipe).split(b'\n') {
        let Ok(line) = line else { return };
        if let Some(log) = &mut log {
            let _ = log.write_line(&line);
        }
        tell_console(&format!("cloud-init: {}", String::from_utf8_lossy(&line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_waited_for_until_somebody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        assert_eq!(answers(&socket, Duration::from_millis(20)), Ok(false));
        // What an engine leaves that was killed.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let place = socket.clone();
        let waiting = std::thread::spawn(move || answers(&place, Duration::from_secs(20)));
        std::fs::remove_file(&socket).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o660))
            .unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(true));
    }

    #[test]
    fn an_interpreter_that_is_missing_is_named() {
        assert_eq!(interpreter(b"#! /usr/bin/perl -w\nx"), "/usr/bin/perl -w");
        assert_eq!(interpreter(b"#!/bin/sh\r\n"), "/bin/sh");
    }
}

//! Applies user-data in the console: writes files and runs the script.
//!
//! This happens once per console container. A console that is only restarted still has its files and the
//! effects of the script.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::inotify::AddWatchFlags;
use sys::log::RotatingLog;

use crate::files::{replace, write_files};
use crate::saved::Saved;
use crate::status::{Progress, Status};
use crate::user_data::UserData;
use crate::{account_setup, console, fetch, watch};

/// The folder of this program in the console; it is discarded with the console.
const FOLDER: &str = "/etc/cloud-init";

/// Exists when the script was started in this console.
const STARTED: &str = "/etc/cloud-init/begun";

/// The script.
const SCRIPT: &str = "/etc/cloud-init/script";

/// `runcmd`, as a script.
const COMMANDS: &str = "/etc/cloud-init/runcmd";

/// `bootcmd`, as a script.
const BOOT_COMMANDS: &str = "/etc/cloud-init/bootcmd";

/// How long `bootcmd` may delay logins.
const BOOT_COMMANDS_TIMEOUT: Duration = Duration::from_secs(60);

/// The output of the scripts.
const LOG: &str = "/var/log/cloud-init.log";

/// The console's first program; with `set-up` it applies the configuration of logins again.
const CONSOLE: &str = "/usr/lib/rancher/console";

/// How long a script waits for the user's Docker before it starts without it.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the output of a script is read after the script has exited.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// The stage `write`, when the console starts: applies the saved user-data.
pub(crate) fn write() -> Result<(), String> {
    let mut status = Status::read();
    // The query that is in progress may return other user-data.
    if Path::new(STARTED).exists() || status.progress == Progress::Querying {
        return Ok(());
    }
    let user_data = Saved::of_machine().user_data();
    boot_commands(&user_data, &mut status);
    account_setup::create(&user_data, &mut status);
    write_files(&user_data, &mut status);
    status.write();
    Ok(())
}

/// The stage `finish`, when logins are possible: queries the remaining datasources and runs the script.
pub(crate) fn finish() -> Result<(), String> {
    if Path::new(STARTED).exists() {
        return Ok(());
    }
    let mut status = Status::read();
    let result = match status.progress {
        Progress::Querying => {
            let result = fetch::fetch_all(&mut status);
            // If nothing was saved, the user-data that was saved before applies.
            all(&mut status)?;
            result
        }
        _ => script(&Saved::of_machine().user_data(), &mut status),
    };
    match status.progress {
        Progress::NoAnswer => result.and(late(&mut status)),
        _ => result,
    }
}

/// Waits for a volume that appears late and applies its data if they changed.
fn late(status: &mut Status) -> Result<(), String> {
    let before = Saved::of_machine().state();
    let result = fetch::fetch_late(status);
    let now = Saved::of_machine().state();
    if now.user_data != before.user_data {
        all(status)?;
    } else if now.layer != before.layer {
        set_up_console();
    }
    result
}

/// Applies the saved data.
pub(crate) fn all(status: &mut Status) -> Result<(), String> {
    set_up_console();
    let user_data = Saved::of_machine().user_data();
    boot_commands(&user_data, status);
    account_setup::create(&user_data, status);
    write_files(&user_data, status);
    status.write();
    script(&user_data, status)
}

/// Makes the console apply its configuration.
fn set_up_console() {
    let result = Command::new(CONSOLE)
        .arg("set-up")
        .stdin(Stdio::null())
        .status();
    match result {
        Ok(status) if status.success() => (),
        Ok(status) => console::report(&format!("failed to set up the console: {status}")),
        Err(error) => console::report(&format!("failed to set up the console: {error}")),
    }
}

/// Runs `bootcmd` and waits for it with a timeout, because logins are not possible yet.
fn boot_commands(user_data: &UserData, status: &mut Status) {
    let Some(script) = &user_data.boot_commands else {
        return;
    };
    let script = script.clone();
    let (sender, exited) = mpsc::channel();
    // A script that runs longer becomes a child of the console's first program.
    std::thread::spawn(move || {
        // The receiver may have timed out.
        let _ = sender.send(run_quietly(&script, BOOT_COMMANDS));
    });
    let result = match exited.recv_timeout(BOOT_COMMANDS_TIMEOUT) {
        Ok(Ok(code)) => exit_message(code),
        Ok(Err(error)) => error,
        Err(_) => format!(
            "still running after {} s; the boot continues",
            BOOT_COMMANDS_TIMEOUT.as_secs()
        ),
    };
    status.bootcmd = Some(result.clone());
    match std::fs::read_to_string(LOG) {
        _ if result != SUCCESS => console::report(&format!("bootcmd: {result}; see {LOG}")),
        Ok(log) => {
            let reports = log.lines().filter(|line| line.starts_with("bootcmd, line"));
            reports.for_each(console::report);
        }
        Err(_) => (),
    }
}

/// The result of a script that succeeds.
const SUCCESS: &str = "exited with exit status: 0";

/// The result of a script that has exited.
fn exit_message(code: ExitStatus) -> String {
    format!("exited with {code}")
}

/// Runs a script whose output goes only to the log.
fn run_quietly(script: &[u8], path: &str) -> Result<ExitStatus, String> {
    log_and_run(script, path).map_err(|error| error.to_string())
}

fn log_and_run(script: &[u8], path: &str) -> std::io::Result<ExitStatus> {
    replace(path.as_ref(), script, 0o700, (0, 0))?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(LOG)?;
    let errors = log.try_clone()?;
    program(path).stdout(log).stderr(errors).status()
}

/// Runs the script or `runcmd`, if there is one, and waits until it exits.
fn script(user_data: &UserData, status: &mut Status) -> Result<(), String> {
    replace(STARTED.as_ref(), b"", 0o600, (0, 0)).map_err(|error| format!("{FOLDER}: {error}"))?;
    if let Some(script) = &user_data.script {
        status.script = Some("running".into());
        status.script = Some(run_with_docker(script, SCRIPT, "the script", status)?);
    }
    if let Some(commands) = &user_data.commands {
        let saved = Saved::of_machine();
        if saved.has_run(commands) {
            status.runcmd = Some("ran in an earlier boot".into());
        } else {
            status.runcmd = Some("running".into());
            status.runcmd = Some(run_with_docker(commands, COMMANDS, "runcmd", status)?);
            saved.record_run(commands)?;
        }
    }
    status.write();
    Ok(())
}

/// Runs a script when the user's Docker answers and returns its result.
fn run_with_docker(
    script: &[u8],
    path: &str,
    name: &str,
    status: &Status,
) -> Result<String, String> {
    replace(path.as_ref(), script, 0o700, (0, 0)).map_err(|e| format!("{path}: {e}"))?;
    status.write();
    if !accepts_connections(config::USER_DOCKER.as_ref(), DOCKER_TIMEOUT).unwrap_or(false) {
        let seconds = DOCKER_TIMEOUT.as_secs();
        console::report(&format!(
            "the user's Docker does not answer after {seconds} s; {name} starts without it"
        ));
    }
    let result = run(script, path);
    match &result {
        Ok(code) if code.success() => (),
        Ok(code) => console::report(&format!("{name} failed with {code}; see {LOG}")),
        Err(error) => console::report(&format!("failed to run {name}: {error}")),
    }
    Ok(result.map_or_else(|error| error, exit_message))
}

/// Waits until a socket accepts connections; returns false after the timeout.
fn accepts_connections(socket: &Path, timeout: Duration) -> nix::Result<bool> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    // An engine that listens sets the owner and the mode of its socket.
    let owned = AddWatchFlags::IN_ATTRIB;
    let found = watch::wait_for(folder, owned, timeout, || UnixStream::connect(socket).ok())?;
    Ok(found.is_some())
}

/// A program with the environment of a login shell of root.
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

/// Runs a script whose output goes to the log and to the console.
fn run(script: &[u8], path: &str) -> Result<ExitStatus, String> {
    let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
    let errors = writer.try_clone().map_err(|error| error.to_string())?;
    let mut command = program(path);
    command.stdout(writer).stderr(errors);
    let child = command.spawn();
    // The command holds write ends of the pipe, which would keep it open.
    drop(command);
    let mut child = child.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("interpreter not found: {}", interpreter(script)),
        _ => error.to_string(),
    })?;
    let (copied, all_copied) = mpsc::channel();
    std::thread::spawn(move || {
        copy(reader);
        // The receiver may have timed out.
        let _ = copied.send(());
    });
    let result = child.wait().map_err(|error| error.to_string());
    // A background process of the script may keep the pipe open.
    let _ = all_copied.recv_timeout(OUTPUT_TIMEOUT);
    result
}

/// The interpreter in the first line of a script.
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
        console::print(&format!("cloud-init: {}", String::from_utf8_lossy(&line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_connections_waits_until_a_process_listens() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let wait = |timeout| accepts_connections(&socket, timeout);
        assert_eq!(wait(Duration::from_millis(20)), Ok(false));
        // A killed engine leaves its socket behind.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let path = socket.clone();
        let waiting =
            std::thread::spawn(move || accepts_connections(&path, Duration::from_secs(20)));
        std::fs::remove_file(&socket).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o660))
            .unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(true));
    }

    #[test]
    fn interpreter_is_read_from_the_first_line() {
        assert_eq!(interpreter(b"#! /usr/bin/perl -w\nx"), "/usr/bin/perl -w");
        assert_eq!(interpreter(b"#!/bin/sh\r\n"), "/bin/sh");
    }
}

//! In the console: writing files, and running the script.
//!
//! Once in the life of a console, which is as long as what lies in it: a console that is only started
//! again has its files and what the script did.

use std::fs::{File as Opened, OpenOptions, Permissions};
use std::io::{BufRead as _, BufReader, Result as IoResult, Write as _};
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use init::log::Lines;
use nix::sys::inotify::AddWatchFlags;

use crate::kept::Kept;
use crate::status::{Status, Turn};
use crate::user_data::{File, Owner, Told};
use crate::{Problem, save, say, tell_console, watch};

/// What the console has of its own, thrown away with it.
const FOLDER: &str = "/var/lib/cloud-init";

/// Is there when the script was begun in this console.
const BEGUN: &str = "/var/lib/cloud-init/begun";

/// The script.
const SCRIPT: &str = "/var/lib/cloud-init/script";

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
    write_files(&Kept::of_machine().told(), &mut status);
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

fn write_files(told: &Told, status: &mut Status) {
    for file in &told.files {
        match write_file(file) {
            Ok(()) => status.files.push(file.path.clone()),
            Err(why) => {
                let what = format!("`write_files`: {}: {why}", file.path);
                status.problem(Problem::at(file.line, what));
            }
        }
    }
}

fn write_file(file: &File) -> Result<(), String> {
    let path = Path::new(&file.path);
    let owner = numbers(&file.owner)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    replace(path, &file.content.0, file.mode, owner).map_err(|error| error.to_string())
}

/// The numbers of an owner, by the accounts of this console. A user without a group has his own.
fn numbers(owner: &Owner) -> Result<(u32, u32), String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
    let user = match &owner.user {
        None => (0, 0),
        Some(name) => {
            account(&read("/etc/passwd")?, name).ok_or(format!("there is no user `{name}`"))?
        }
    };
    let group = match &owner.group {
        None => user.1,
        Some(name) => {
            let (number, _) =
                account(&read("/etc/group")?, name).ok_or(format!("there is no group `{name}`"))?;
            number
        }
    };
    Ok((user.0, group))
}

/// Number and, of a user, group of an account by its name or number (passwd(5), group(5)).
fn account(table: &str, wanted: &str) -> Option<(u32, u32)> {
    let named = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        if name != wanted && number != wanted {
            return None;
        }
        let number = number.parse().ok()?;
        let group = fields.next().and_then(|group| group.parse().ok());
        Some((number, group.unwrap_or(number)))
    });
    named.or_else(|| wanted.parse().ok().map(|number| (number, number)))
}

/// Writes a file beside its place, synced, and renames it.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32, owner: (u32, u32)) -> IoResult<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(content)?;
    let file = new.as_file();
    // Root's it is already, and others cannot give files away.
    if owner != (0, 0) {
        fchown(file, Some(owner.0), Some(owner.1))?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    match new.persist(path) {
        Ok(_) => Opened::open(folder)?.sync_all(),
        // Something is mounted there, as on /etc/hosts: it cannot be replaced, but written.
        Err(error) if error.error.kind() == std::io::ErrorKind::ResourceBusy => {
            let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
            file.write_all(content)?;
            file.sync_all()
        }
        Err(error) => Err(error.error),
    }
}

/// Runs the script, if there is one, and waits for its end.
fn script(told: &Told, status: &mut Status) -> Result<(), String> {
    replace(BEGUN.as_ref(), b"", 0o600, (0, 0)).map_err(|error| format!("{FOLDER}: {error}"))?;
    let Some(script) = &told.script else {
        return Ok(());
    };
    replace(SCRIPT.as_ref(), script, 0o700, (0, 0)).map_err(|e| format!("{SCRIPT}: {e}"))?;
    if !answers(config::USER_DOCKER.as_ref(), DOCKER_LIMIT).unwrap_or(false) {
        let limit = DOCKER_LIMIT.as_secs();
        say(&format!(
            "no Docker after {limit} s; the script begins without"
        ));
    }
    status.script = Some("it runs".into());
    status.write();
    let ended = run(script);
    match &ended {
        Ok(code) if code.success() => (),
        Ok(code) => say(&format!("the script ended with {code}; see {LOG}")),
        Err(why) => say(&format!("the script cannot be run: {why}")),
    }
    status.script = Some(ended.map_or_else(|why| why, |code| format!("it ended with {code}")));
    status.write();
    Ok(())
}

/// Whether somebody takes connections on a socket, once they had their time.
fn answers(socket: &Path, limit: Duration) -> nix::Result<bool> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    // An engine that listens gives its socket an owner and a mode.
    let owned = AddWatchFlags::IN_ATTRIB;
    let found = watch::look(folder, owned, limit, || UnixStream::connect(socket).ok())?;
    Ok(found.is_some())
}

fn run(script: &[u8]) -> Result<std::process::ExitStatus, String> {
    let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
    let errors = writer.try_clone().map_err(|error| error.to_string())?;
    let mut command = Command::new(SCRIPT);
    command
        .current_dir("/")
        .env("HOME", "/root")
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors);
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
    let mut log = Lines::open(LOG.as_ref()).ok();
    for line in BufReader::new(pipe).split(b'\n') {
        let Ok(line) = line else { return };
        if let Some(log) = &mut log {
            let _ = log.write(&line);
        }
        tell_console(&format!("cloud-init: {}", String::from_utf8_lossy(&line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\nrancher:x:1100:1101:R:/home/rancher:/bin/bash\n";
        assert_eq!(account(users, "rancher"), Some((1100, 1101)));
        assert_eq!(account(users, "1100"), Some((1100, 1101)));
        assert_eq!(account(users, "33"), Some((33, 33)));
        assert_eq!(account(users, "nobody"), None);
        assert_eq!(
            account("docker:x:1101:rancher\n", "docker"),
            Some((1101, 1101))
        );
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        for (content, mode) in [("one", 0o755), ("two", 0o600)] {
            replace(&path, content.as_bytes(), mode, (0, 0)).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
            let found = path.metadata().unwrap().permissions().mode();
            assert_eq!(found & 0o7777, mode);
        }
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
        assert!(replace(folder.path(), b"x", 0o644, (0, 0)).is_err());
    }

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
        std::fs::set_permissions(&socket, Permissions::from_mode(0o660)).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(true));
    }

    #[test]
    fn an_interpreter_that_is_missing_is_named() {
        assert_eq!(interpreter(b"#! /usr/bin/perl -w\nx"), "/usr/bin/perl -w");
        assert_eq!(interpreter(b"#!/bin/sh\r\n"), "/bin/sh");
    }
}

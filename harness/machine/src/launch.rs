//! QEMU started, with its lines connected before its first instruction.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt as _, FdMapping};
use serde_json::{Value, json};

use super::MachineError;
use super::args::{Wires, arguments};
use super::cache::Served;
use super::plan::{Incoming, Plan};
use super::qmp::Qmp;
use crate::log_dir::LogDir;
use base::process;
use base::process::{Owned, describe};
use host::port;

/// Descriptors in QEMU.
const SERIAL: i32 = 3;
const QMP: i32 = 4;
const EVENTS: i32 = 5;
/// Of the [state](Incoming::Inherited) of a saved machine.
const STATE: i32 = 6;
/// And, from here on, those of disks that are served by us; those of gates come after them.
pub(super) const DISKS: i32 = 7;

/// What QEMU itself says, in the evidence folder.
const LOG: &str = "qemu.log";
/// Of which this much is shown.
const SHOWN: u64 = 4000;

/// What QEMU's C library is told of its memory. QEMU translates code in threads of their own, for which
/// glibc keeps heaps that grow and shrink by pages, a system call each: thousands for a fork. With one
/// heap, that grows by 16 MiB and does not shrink, a fork takes 3 % less of the processor. See "Memory
/// Allocation Tunables" in glibc's manual; another C library does not heed it.
const TUNABLES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.arena_max=1:glibc.malloc.top_pad=16777216:glibc.malloc.trim_threshold=268435456",
);

/// QEMU's end of a line, and its descriptor there.
type End = (UnixStream, i32);

/// QEMU and this side's ends of its lines.
pub(super) struct Launched {
    pub(super) qemu: Owned,
    pub(super) serial: tokio::net::UnixStream,
    pub(super) qmp: tokio::net::UnixStream,
    pub(super) events: tokio::net::UnixStream,
}

/// Starts QEMU, with the disks that this process serves; what it says goes to `qemu.log` of the
/// evidence. With `waits` the guest does not run before QEMU is told to continue.
pub(super) fn launch(
    qemu: &Path,
    plan: &Plan,
    waits: bool,
    disks: &[Served],
    logs: &LogDir,
) -> io::Result<Launched> {
    let (serial, serial_end) = UnixStream::pair()?;
    let (qmp, qmp_end) = UnixStream::pair()?;
    let (events, events_end) = UnixStream::pair()?;
    let log = logs.append(LOG)?;
    let disk_ends = serve(plan, disks)?;
    let first_gate = DISKS + i32::try_from(plan.drives.len()).map_err(io::Error::other)?;
    let gate_ends = gates(plan, first_gate)?;
    let mut command = Command::new(qemu);
    command
        .args(arguments(
            plan,
            Wires::Inherited {
                serial: SERIAL,
                qmp: QMP,
                events: EVENTS,
                gates: first_gate,
            },
        ))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    if waits {
        command.arg("-S");
    }
    if std::env::var_os(TUNABLES.0).is_none() {
        command.env(TUNABLES.0, TUNABLES.1);
    }
    // A group of its own: Ctrl-C in a terminal is for us, and we end QEMU.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let ends = [(serial_end, SERIAL), (qmp_end, QMP), (events_end, EVENTS)];
    let ends = ends.into_iter().chain(disk_ends).chain(gate_ends);
    let ends = ends.map(|(end, child_fd)| (OwnedFd::from(end), child_fd));
    let mappings = ends.chain(state(plan)?);
    let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping {
        parent_fd,
        child_fd,
    });
    command
        .fd_mappings(mappings.collect())
        .map_err(io::Error::other)?;
    Ok(Launched {
        qemu: process::Owned::spawn(command)?,
        serial: ready(serial)?,
        qmp: ready(qmp)?,
        events: ready(events)?,
    })
}

/// Where QEMU finds the state that it inherits.
pub(super) fn state_uri() -> String {
    format!("fd:{STATE}")
}

fn state(plan: &Plan) -> io::Result<Option<(OwnedFd, i32)>> {
    let Some(Incoming::Inherited(file)) = &plan.incoming else {
        return Ok(None);
    };
    let named = |e| io::Error::other(format!("{}: {e}", file.display()));
    Ok(Some((File::open(file).map_err(named)?.into(), STATE)))
}

/// The disks that have a write cache.
pub(super) fn served(plan: &Plan) -> io::Result<Vec<Served>> {
    let cached = plan.drives.iter().filter(|drive| drive.socket.is_some());
    cached
        .map(|drive| Served::open(&drive.id, &drive.file))
        .collect()
}

/// Serves them, and gives QEMU's ends of their lines.
fn serve(plan: &Plan, disks: &[Served]) -> io::Result<Vec<End>> {
    let sockets = plan.drives.iter().filter_map(|drive| drive.socket);
    let one = |(disk, socket): (&Served, i32)| {
        let (line, end) = UnixStream::pair()?;
        disk.serve(line)?;
        Ok((end, socket))
    };
    disks.iter().zip(sockets).map(one).collect()
}

/// Has this process carry the packets of each gate, and gives QEMU's ends of their lines.
fn gates(plan: &Plan, first: i32) -> io::Result<Vec<End>> {
    let mut ends = Vec::new();
    for ((_, gate), fd) in plan.gates.iter().zip((first..).step_by(2)) {
        let (from, from_end) = UnixStream::pair()?;
        let (back, back_end) = UnixStream::pair()?;
        // Ends with QEMU, which closes the line.
        tokio::spawn(gate.clone().carry(ready(from)?, ready(back)?));
        ends.extend([(from_end, fd), (back_end, fd + 1)]);
    }
    Ok(ends)
}

fn ready(line: UnixStream) -> io::Result<tokio::net::UnixStream> {
    line.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(line)
}

/// Agrees on QMP; an error tells why QEMU ended, if it did.
pub(super) async fn greet(
    launched: &Owned,
    qmp: &Qmp,
    plan: &Plan,
    logs: &LogDir,
) -> Result<(), MachineError> {
    let mut ended = launched.ended();
    // A control line that closed mostly means that QEMU ended, which says more.
    let error = match qmp.execute("qmp_capabilities", Value::Null).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    match tokio::time::timeout(GRACE, ended.wait_for(Option::is_some)).await {
        Ok(status) => Err(start_error(status.ok().and_then(|s| *s), plan, logs)),
        Err(_) => Err(error),
    }
}

/// Between the end of QEMU's lines and its end as a process.
const GRACE: std::time::Duration = std::time::Duration::from_millis(500);

/// What leads through QEMU's network, a row each.
pub(super) async fn network_table(qmp: &Qmp) -> Result<String, MachineError> {
    monitor(qmp, "info usernet").await
}

/// What QEMU's monitor for people prints, for what QMP does not tell.
pub(super) async fn monitor(qmp: &Qmp, command: &str) -> Result<String, MachineError> {
    let asked = json!({ "command-line": command });
    let printed = qmp.execute("human-monitor-command", asked).await?;
    Ok(printed.as_str().unwrap_or_default().to_owned())
}

fn start_error(
    status: Option<std::process::ExitStatus>,
    plan: &Plan,
    logs: &LogDir,
) -> MachineError {
    let said = last_words(logs);
    if said.contains("Could not set up host forwarding rule") {
        // By somebody who asked for this very one.
        return MachineError::Start(port::taken(plan.ssh_port));
    }
    let how = status.map_or_else(|| "it ended".into(), describe);
    MachineError::Start(format!("{how}: {said}"))
}

/// The end of what QEMU said.
pub(super) fn last_words(logs: &LogDir) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(logs.file(LOG))?;
        let skipped = file.metadata()?.len().saturating_sub(SHOWN);
        io::Seek::seek(&mut file, io::SeekFrom::Start(skipped))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}

//! Starts QEMU, with its lines connected before the guest's first instruction.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt as _, FdMapping};
use serde_json::{Value, json};

use crate::disk::write_cache::Served;
use crate::error::MachineError;
use crate::log_dir::LogDir;
use crate::qemu::args::{Connections, arguments};
use crate::qemu::plan::{Incoming, Plan};
use crate::qemu::qmp::Qmp;
use base::process;
use base::process::{Owned, describe};
use host::port;

/// File descriptors in QEMU.
const SERIAL: i32 = 3;
const QMP: i32 = 4;
const EVENTS: i32 = 5;
/// The [state](Incoming::Inherited) of a checkpoint.
const STATE: i32 = 6;
/// The first descriptor of the disks that this process serves. Those of the gates follow.
pub(crate) const DISKS: i32 = 7;

/// Output of QEMU itself, in the evidence folder.
const LOG: &str = "qemu.log";
/// Bytes at the end of the log that an error message shows.
const TAIL_BYTES: u64 = 4000;

/// glibc tunables for QEMU. QEMU translates code in several threads; glibc keeps a heap for each, and
/// each heap grows and shrinks by pages, with one system call per change: thousands for a fork. With a
/// single heap that grows by 16 MiB and never shrinks, a fork takes 3 % less processor time. See "Memory
/// Allocation Tunables" in glibc's manual; other C libraries ignore the variable.
const TUNABLES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.arena_max=1:glibc.malloc.top_pad=16777216:glibc.malloc.trim_threshold=268435456",
);

/// QEMU's end of a line, and its file descriptor in QEMU.
type End = (UnixStream, i32);

/// A QEMU process, and this side's ends of its lines.
pub(crate) struct Launched {
    pub(crate) qemu: Owned,
    pub(crate) serial: tokio::net::UnixStream,
    pub(crate) qmp: tokio::net::UnixStream,
    pub(crate) events: tokio::net::UnixStream,
}

/// Starts QEMU with the disks that this process serves. QEMU's output goes to `qemu.log` in the
/// evidence folder. If `waits` is set, the guest does not run until QEMU receives `cont`.
pub(crate) fn launch(
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
            Connections::Inherited {
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
    command.env(TUNABLES.0, TUNABLES.1);
    // A process group of its own: Ctrl-C in a terminal reaches only this process, which then stops QEMU.
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

/// The URI of the state that QEMU inherits.
pub(crate) fn state_uri() -> String {
    format!("fd:{STATE}")
}

fn state(plan: &Plan) -> io::Result<Option<(OwnedFd, i32)>> {
    let Some(Incoming::Inherited(file)) = &plan.incoming else {
        return Ok(None);
    };
    let named = |e| io::Error::other(format!("{}: {e}", file.display()));
    Ok(Some((File::open(file).map_err(named)?.into(), STATE)))
}

/// Opens the disks that have a write cache.
pub(crate) fn served(plan: &Plan) -> io::Result<Vec<Served>> {
    let cached = plan.drives.iter().filter(|drive| drive.socket.is_some());
    cached
        .map(|drive| Served::open(&drive.id, &drive.file))
        .collect()
}

/// Serves the disks, and returns QEMU's ends of their lines.
fn serve(plan: &Plan, disks: &[Served]) -> io::Result<Vec<End>> {
    let sockets = plan.drives.iter().filter_map(|drive| drive.socket);
    let serve_disk = |(disk, socket): (&Served, i32)| {
        let (line, end) = UnixStream::pair()?;
        disk.serve(line)?;
        Ok((end, socket))
    };
    disks.iter().zip(sockets).map(serve_disk).collect()
}

/// Carries the packets of each gate in this process, and returns QEMU's ends of their lines.
fn gates(plan: &Plan, first: i32) -> io::Result<Vec<End>> {
    let mut ends = Vec::new();
    for ((_, gate), fd) in plan.gates.iter().zip((first..).step_by(2)) {
        let (from, from_end) = UnixStream::pair()?;
        let (back, back_end) = UnixStream::pair()?;
        // The task ends when QEMU exits and closes the line.
        tokio::spawn(gate.clone().carry(ready(from)?, ready(back)?));
        ends.extend([(from_end, fd), (back_end, fd + 1)]);
    }
    Ok(ends)
}

fn ready(line: UnixStream) -> io::Result<tokio::net::UnixStream> {
    line.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(line)
}

/// Negotiates QMP. If QEMU exited, the error says why.
pub(crate) async fn greet(
    launched: &Owned,
    qmp: &Qmp,
    plan: &Plan,
    logs: &LogDir,
) -> Result<(), MachineError> {
    let mut ended = launched.ended();
    // A closed control connection usually means that QEMU exited; its exit status says more.
    let error = match qmp.execute("qmp_capabilities", Value::Null).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    match tokio::time::timeout(GRACE, ended.wait_for(Option::is_some)).await {
        Ok(status) => Err(start_error(status.ok().and_then(|s| *s), plan, logs)),
        Err(_) => Err(error),
    }
}

/// Time between the close of QEMU's lines and the exit of its process.
const GRACE: std::time::Duration = std::time::Duration::from_millis(500);

/// QEMU's table of connections through its user network, one per row.
pub(crate) async fn network_table(qmp: &Qmp) -> Result<String, MachineError> {
    monitor(qmp, "info usernet").await
}

/// The output of a command of QEMU's human monitor, for facts that QMP does not offer.
pub(crate) async fn monitor(qmp: &Qmp, command: &str) -> Result<String, MachineError> {
    let asked = json!({ "command-line": command });
    let printed = qmp.execute("human-monitor-command", asked).await?;
    Ok(printed.as_str().unwrap_or_default().to_owned())
}

fn start_error(
    status: Option<std::process::ExitStatus>,
    plan: &Plan,
    logs: &LogDir,
) -> MachineError {
    let output = log_tail(logs);
    if output.contains("Could not set up host forwarding rule") {
        // Another process took a port that the caller asked for by number.
        return MachineError::Start(port::taken(plan.ssh_port));
    }
    let how = status.map_or_else(|| "QEMU exited".into(), describe);
    MachineError::Start(format!("{how}: {output}"))
}

/// The end of QEMU's log.
pub(crate) fn log_tail(logs: &LogDir) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(logs.file(LOG))?;
        let skipped = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        io::Seek::seek(&mut file, io::SeekFrom::Start(skipped))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}

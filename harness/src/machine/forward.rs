//! A socket on this host that leads to a unix socket in the guest, over SSH.
//!
//! bollard speaks to a unix socket; each connection to ours becomes a `direct-streamlocal` channel
//! of one SSH session. A session must not be used by two threads at a time, so one thread moves
//! the bytes of all channels, woken by poll(2). Responses may be endless (logs, exec, wait).

mod pipe;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;

use super::MachineError;
use super::folder::PrivateFolder;
use super::ssh::{Connection, Login, Target, Trouble, connect};
use crate::host::scale;
use pipe::Pipe;

/// For the guest to open one channel, on the reference host.
const OPEN_SECONDS: u64 = 20;

/// Forwards until it is dropped, or the connection ends.
pub(super) struct Forward {
    thread: JoinHandle<()>,
    /// Its other end wakes the thread when this one is closed.
    _stop: UnixStream,
    /// Keeps the path below valid.
    _folder: File,
    path: String,
}

impl Forward {
    /// Logs in and listens on a new socket in the machine's folder.
    pub(super) async fn start(
        target: Target,
        login: Login,
        guest_path: &'static str,
        folder: &PrivateFolder,
        limit: Duration,
    ) -> Result<Self, MachineError> {
        let name = format!("forward-{}.sock", next_number());
        let listener = listen(folder, &name).map_err(other)?;
        let (stop, stopped) = UnixStream::pair().map_err(other)?;
        let (opened, answer) = oneshot::channel();
        let work = move || {
            let connected = connect(&target, &login, limit, &|| opened.is_closed());
            match connected {
                Err(error) => drop(opened.send(Err(error))),
                Ok(connection) => {
                    let _ = opened.send(Ok(()));
                    // Whoever still uses the socket then meets an end of file; that is all there
                    // is to say, because a reboot of the guest ends it just the same.
                    let _ = serve(&connection, &listener, &stopped, guest_path);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("forward".into())
            .spawn(work)
            .map_err(other)?;
        answer.await.map_err(other)??;
        let held = File::open(folder.path()).map_err(other)?;
        let path = format!("/proc/self/fd/{}/{name}", held.as_raw_fd());
        Ok(Self {
            thread,
            _stop: stop,
            _folder: held,
            path,
        })
    }

    /// The socket, by a path that is short whatever the folder is called.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether it still forwards.
    pub(super) fn alive(&self) -> bool {
        !self.thread.is_finished()
    }
}

fn other(error: impl std::fmt::Display) -> MachineError {
    MachineError::Ssh(format!("forwarding: {error}"))
}

fn next_number() -> u64 {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn listen(folder: &PrivateFolder, name: &str) -> io::Result<UnixListener> {
    let held = File::open(folder.path())?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{name}", held.as_raw_fd()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(
    connection: &Connection,
    listener: &UnixListener,
    stopped: &UnixStream,
    guest_path: &str,
) -> Result<(), Trouble> {
    let mut pipes: Vec<Pipe> = Vec::new();
    loop {
        let woken = sleep(connection, listener, stopped, &pipes)?;
        if woken.stop {
            return Ok(());
        }
        for number in woken.hung_up {
            pipes[number].host_gone();
        }
        while let Ok((stream, _)) = listener.accept() {
            pipes.extend(open(connection, stream, guest_path)?);
        }
        pump(connection, &mut pipes)?;
        if woken.closed {
            return Ok(());
        }
    }
}

/// Why the thread woke up, beside that there may be bytes to move.
#[derive(Default)]
struct Woken {
    stop: bool,
    /// The guest closed the connection; what it sent before can still be read.
    closed: bool,
    /// Pipes of which nobody holds the other end on this host any more.
    hung_up: Vec<usize>,
}

fn sleep(
    connection: &Connection,
    listener: &UnixListener,
    stopped: &UnixStream,
    pipes: &[Pipe],
) -> Result<Woken, Trouble> {
    let socket = connection.socket().as_fd();
    let mut fds = vec![
        PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        PollFd::new(listener.as_fd(), PollFlags::POLLIN),
        PollFd::new(socket, connection.wanted() | PollFlags::POLLIN),
    ];
    let fixed = fds.len();
    fds.extend(
        pipes
            .iter()
            .map(|pipe| PollFd::new(pipe.stream().as_fd(), pipe.wanted())),
    );
    let timeout = match pipes.iter().any(Pipe::ready) {
        true => PollTimeout::ZERO,
        false => PollTimeout::NONE,
    };
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(nix::errno::Errno::EINTR) => return Ok(Woken::default()),
        Err(errno) => return Err(io::Error::from(errno).into()),
    }
    let seen = |fd: &PollFd, flags| fd.revents().is_some_and(|events| events.intersects(flags));
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    let hung_up = (0..pipes.len())
        .filter(|n| seen(&fds[fixed + n], gone))
        .collect();
    let told = seen(&fds[2], PollFlags::POLLIN | gone);
    Ok(Woken {
        stop: seen(&fds[0], PollFlags::all()),
        closed: told && has_ended(connection.socket().peek(&mut [0])),
        hung_up,
    })
}

/// Whether what a peek at a socket met is its end.
fn has_ended(peek: io::Result<usize>) -> bool {
    match peek {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// A channel for a new connection. A guest that refuses it is told as an answer of HTTP, so that
/// the client's error carries the cause.
fn open(
    connection: &Connection,
    mut stream: UnixStream,
    guest_path: &str,
) -> Result<Option<Pipe>, Trouble> {
    let end = Instant::now() + scale::seconds(OPEN_SECONDS);
    match connection.until(end, |session| {
        session.channel_direct_streamlocal(guest_path, None)
    }) {
        Ok(channel) => Ok(Some(Pipe::new(stream, channel)?)),
        Err(Trouble::Deadline) => Err(Trouble::Deadline),
        Err(trouble) => {
            let message = format!("the guest does not open {guest_path}: {trouble}");
            let body = serde_json::json!({ "message": message }).to_string();
            let head =
                "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(
                stream,
                "{head}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            Ok(None)
        }
    }
}

/// Moves bytes until none moves: reading for one channel takes in packets of the others.
fn pump(connection: &Connection, pipes: &mut Vec<Pipe>) -> Result<(), Trouble> {
    loop {
        let mut moved = false;
        for pipe in &mut *pipes {
            moved |= pipe.pump(connection)?;
        }
        pipes.retain(|pipe| !pipe.done());
        if !moved {
            return Ok(());
        }
    }
}

//! The listener.

use std::ffi::CString;
use std::io::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::process::ExitCode;
use std::time::Instant;

use config::{Config, Subnet};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind,
    listen, setsockopt, socket, sockopt,
};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use sys::log::Syslog;
use sys::poll_timeout;
use sys::respawn::Program;

use super::limits::{self, LOGIN_GRACE, Startups, Throttle};

/// The argument with which the console's program runs the listener.
pub(crate) const NAME: &str = "sshd";

/// The program that serves one connection.
pub(crate) const DROPBEAR: &str = "/usr/sbin/dropbear";

/// The PID file of the listener.
const PID_FILE: &str = "/run/sshd.pid";

/// The descriptor that dropbear closes when a user has logged in.
const LOGGED_IN: i32 = 3;

/// `POSIX_SPAWN_SETSID`, which nix does not name (posix_spawn(3)): a signal for the listener's process group
/// must not reach sessions.
const NEW_SESSION: PosixSpawnFlags = PosixSpawnFlags::from_bits_retain(0x80);

/// The maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The listener as a program to keep running: `console sshd PORT ALLOW DROPBEAR-ARGUMENTS…`. ALLOW is a list
/// of networks separated by commas.
pub(crate) fn program(config: &Config, dropbear: &[&str]) -> Program {
    let allow = config.ssh.allow.iter().map(ToString::to_string);
    let (port, allow) = (config.ssh.port.to_string(), Vec::from_iter(allow).join(","));
    let arguments = [&[NAME, &port, &allow], dropbear].concat();
    Program::new(&format!("{}/console", sys::PROGRAMS), &arguments)
}

/// Listens until it is killed; connections stay open without it.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(2).collect();
    let [port, allow, dropbear @ ..] = arguments.as_slice() else {
        eprintln!("console sshd PORT ALLOW DROPBEAR-ARGUMENTS…");
        return ExitCode::FAILURE;
    };
    let Err(error) = serve(port, allow, dropbear);
    eprintln!("rancher: cannot listen for SSH on port {port}: {error}");
    ExitCode::FAILURE
}

fn serve(port: &str, allow: &str, dropbear: &[String]) -> Result<std::convert::Infallible> {
    let networks = allow.split(',').filter(|one| !one.is_empty());
    // A network that cannot be parsed is an error: an empty list would accept every client.
    let networks = networks.map(|one| Subnet::try_from(one.to_owned()));
    let networks = networks.collect::<std::result::Result<_, _>>();
    let server = Server::new(networks.map_err(Error::other)?, dropbear)?;
    server.run(port.parse().map_err(Error::other)?)
}

struct Server {
    /// The networks whose clients are accepted; all clients if the list is empty.
    allow: Vec<Subnet>,
    /// The arguments of dropbear.
    arguments: Vec<CString>,
    /// Connections without a login.
    pending: Vec<Connection>,
    startups: Startups,
    rejections: Throttle,
    syslog: Syslog,
}

/// A connection without a login.
struct Connection {
    peer: SocketAddr,
    process: Pid,
    /// The pipe whose other end dropbear closes at the login or when it exits.
    logged_in: OwnedFd,
    deadline: Instant,
}

impl Server {
    fn new(allow: Vec<Subnet>, dropbear: &[String]) -> Result<Self> {
        // The first argument is the process name.
        let arguments = ["dropbear"].into_iter();
        let arguments = arguments.chain(dropbear.iter().map(String::as_str));
        let descriptor = LOGGED_IN.to_string();
        let arguments = arguments.chain(["-2", &descriptor]).map(CString::new);
        Ok(Self {
            allow,
            arguments: arguments.collect::<std::result::Result<_, _>>()?,
            pending: Vec::new(),
            startups: Startups::default(),
            rejections: Throttle::default(),
            syslog: Syslog::new("sshd"),
        })
    }

    fn run(mut self, port: u16) -> Result<std::convert::Infallible> {
        let signals = SigSet::from_iter([Signal::SIGCHLD]);
        signals.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let children = SignalFd::with_flags(&signals, flags)?;
        let listeners = listeners(port)?;
        // The listener works without a PID file, too.
        let _ = std::fs::write(PID_FILE, format!("{}\n", std::process::id()));
        loop {
            let waited = [children.as_fd()].into_iter();
            let waited = waited.chain(listeners.iter().map(AsFd::as_fd));
            let waited = waited.chain(self.pending.iter().map(|one| one.logged_in.as_fd()));
            let mut waited = Vec::from_iter(waited.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut waited, self.next_deadline()) {
                Ok(_) | Err(Errno::EINTR) => (),
                Err(error) => return Err(error.into()),
            }
            let ready = Vec::from_iter(waited.iter().map(|one| one.any() == Some(true)));
            let (listening, logged_in) = ready[1..].split_at(listeners.len());
            let mut logged_in = logged_in.iter();
            self.pending.retain(|_| logged_in.next() != Some(&true));
            while children.read_signal()?.is_some() {}
            reap();
            self.close_overdue(Instant::now());
            for (listener, _) in listeners.iter().zip(listening).filter(|(_, ready)| **ready) {
                self.accept(listener);
            }
        }
    }

    /// The time until the first connection is overdue; no timeout if there are none.
    fn next_deadline(&self) -> PollTimeout {
        let Some(next) = self.pending.iter().map(|one| one.deadline).min() else {
            return PollTimeout::NONE;
        };
        poll_timeout(next.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self, listener: &TcpListener) {
        // The client may have disconnected before it was accepted.
        let Ok((stream, peer)) = listener.accept() else {
            return;
        };
        if let Some(reason) = self.rejects(peer.ip()) {
            if let Some(line) = self
                .rejections
                .line(&format!("{}: {reason}", shown(peer)), Instant::now())
            {
                self.syslog.log(&line);
            }
            return;
        }
        self.syslog.log(&format!("connection from {}", shown(peer)));
        match self.serve(&stream) {
            Ok((process, logged_in)) => self.pending.push(Connection {
                peer,
                process,
                logged_in,
                deadline: Instant::now() + LOGIN_GRACE,
            }),
            Err(error) => self.syslog.log(&format!("{DROPBEAR}: {error}")),
        }
    }

    /// Why a connection is rejected, if it is.
    fn rejects(&self, peer: IpAddr) -> Option<String> {
        if !self.allow.is_empty() && !self.allow.iter().any(|one| one.contains(peer)) {
            return Some("not in a network of `ssh.allow`".into());
        }
        let pending = self.pending.len();
        self.startups
            .rejects(pending, limits::percent())
            .then(|| format!("{pending} connections without a login ({})", self.startups))
    }

    /// Starts dropbear for a connection, with no signal blocked and only the descriptors that it needs.
    fn serve(&self, stream: &TcpStream) -> Result<(Pid, OwnedFd)> {
        // As dropbear's own listener does: keystrokes are sent without a delay.
        stream.set_nodelay(true)?;
        let (logged_in, other_end) = pipe2(OFlag::O_CLOEXEC)?;
        let mut files = PosixSpawnFileActions::init()?;
        files.add_dup2(stream.as_raw_fd(), 0)?;
        files.add_dup2(other_end.as_raw_fd(), LOGGED_IN)?;
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | NEW_SESSION)?;
        attributes.set_sigmask(&SigSet::empty())?;
        let environment = std::env::vars().map(|(name, value)| format!("{name}={value}"));
        let environment: Vec<_> = environment.flat_map(CString::new).collect();
        let process = posix_spawn(DROPBEAR, &files, &attributes, &self.arguments, &environment)?;
        Ok((process, logged_in))
    }

    /// Closes connections without a login in time.
    fn close_overdue(&mut self, now: Instant) {
        let syslog = &mut self.syslog;
        self.pending.retain(|one| {
            let overdue = one.deadline <= now;
            if overdue {
                // It fails if dropbear has just exited.
                let _ = kill(one.process, Signal::SIGKILL);
                let (peer, seconds) = (shown(one.peer), LOGIN_GRACE.as_secs());
                syslog.log(&format!("closed {peer}: no login within {seconds} s"));
            }
            !overdue
        });
    }
}

/// A listening socket for each address family that the kernel supports.
fn listeners(port: u16) -> Result<Vec<TcpListener>> {
    let v4 = SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
    let v6 = std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
    let all = [
        listener(AddressFamily::Inet, &v4),
        listener(AddressFamily::Inet6, &SockaddrIn6::from(v6)),
    ];
    let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    let good: Vec<_> = good.into_iter().flatten().collect();
    match bad.into_iter().find_map(Result::err) {
        Some(error) if good.is_empty() => Err(error),
        _ => Ok(good),
    }
}

fn listener(family: AddressFamily, address: &dyn SockaddrLike) -> Result<TcpListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if family == AddressFamily::Inet6 {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    bind(socket.as_raw_fd(), address)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket.into())
}

fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

fn shown(peer: SocketAddr) -> String {
    SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string()
}

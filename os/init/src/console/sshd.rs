//! The SSH server's listener: accepts connections, turns some away, and starts dropbear for each of the
//! others.
//!
//! dropbear's own listener has limits that are compiled in (`MAX_UNAUTH_PER_IP` 5, `MAX_UNAUTH_CLIENTS`
//! 30, `AUTH_TIMEOUT` 300 s; `sysoptions.h`, `default_options.h`): five idle connections keep everybody
//! behind the same address out for five minutes, and nothing is logged. This one has limits like
//! OpenSSH's, see [`limits`], and logs whom it turns away.
//!
//! Each connection gets a dropbear of its own, called the way that dropbear's listener starts itself anew
//! for each connection (`-2 DESCRIPTOR`, `svr-main.c`, since 2022.82): the connection is its standard
//! input, and it closes the descriptor when somebody has logged in. `-i`, for inetd, would not tell when
//! that is. Why not OpenSSH's server: it starts two programs for each connection, and with libcrypto it
//! adds 3 MB to the image. What the start of a program costs an emulated machine is paid back in part
//! by this listener, which is in memory already, unlike dropbear and its libraries.

mod limits;

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

use crate::log::Syslog;
use crate::respawn::Program;
use limits::{LOGIN_GRACE, Startups, Throttle};

/// What the console's program is told to be when it listens.
pub const NAME: &str = "sshd";

/// The server of one connection.
pub const DROPBEAR: &str = "/usr/sbin/dropbear";

/// The process that listens.
const PID_FILE: &str = "/run/sshd.pid";

/// The descriptor that dropbear closes when somebody has logged in.
const LOGGED_IN: i32 = 3;

/// `POSIX_SPAWN_SETSID`, which nix does not name (posix_spawn(3)): a signal for the listener's group is
/// not for those who are logged in.
const NEW_SESSION: PosixSpawnFlags = PosixSpawnFlags::from_bits_retain(0x80);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The listener, to be kept running: `console sshd PORT ALLOW DROPBEAR-ARGUMENTS…`, with networks
/// between commas.
pub fn program(config: &Config, dropbear: &[&str]) -> Program {
    let allow = config.ssh.allow.iter().map(ToString::to_string);
    let (port, allow) = (config.ssh.port.to_string(), Vec::from_iter(allow).join(","));
    let arguments = [&[NAME, &port, &allow], dropbear].concat();
    Program::new(&format!("{}/console", crate::PROGRAMS), &arguments)
}

/// Listens until it is killed; a connection goes on without it.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(2).collect();
    let [port, allow, dropbear @ ..] = arguments.as_slice() else {
        eprintln!("console sshd PORT ALLOW DROPBEAR-ARGUMENTS…");
        return ExitCode::FAILURE;
    };
    let Err(error) = serve(port, allow, dropbear);
    eprintln!("rancher: the SSH server cannot listen on port {port}: {error}");
    ExitCode::FAILURE
}

fn serve(port: &str, allow: &str, dropbear: &[String]) -> Result<std::convert::Infallible> {
    let networks = allow.split(',').filter(|one| !one.is_empty());
    // One that is not understood must not be taken for none, which would let everybody in.
    let networks = networks.map(|one| Subnet::try_from(one.to_owned()));
    let networks = networks.collect::<std::result::Result<_, _>>();
    let server = Server::new(networks.map_err(Error::other)?, dropbear)?;
    server.run(port.parse().map_err(Error::other)?)
}

struct Server {
    /// Networks that are accepted; none accepts all.
    allow: Vec<Subnet>,
    /// What each dropbear is called with.
    words: Vec<CString>,
    /// Connections that nobody has logged in on yet.
    open: Vec<Connection>,
    startups: Startups,
    refused: Throttle,
    syslog: Syslog,
}

/// A connection that nobody has logged in on yet.
struct Connection {
    peer: SocketAddr,
    process: Pid,
    /// Ends when somebody has logged in, or when the process has ended.
    logged_in: OwnedFd,
    until: Instant,
}

impl Server {
    fn new(allow: Vec<Subnet>, dropbear: &[String]) -> Result<Self> {
        // The name that it shows among the processes.
        let words = ["dropbear"].into_iter();
        let words = words.chain(dropbear.iter().map(String::as_str));
        let descriptor = LOGGED_IN.to_string();
        let words = words.chain(["-2", &descriptor]).map(CString::new);
        Ok(Self {
            allow,
            words: words.collect::<std::result::Result<_, _>>()?,
            open: Vec::new(),
            startups: Startups::default(),
            refused: Throttle::default(),
            syslog: Syslog::of("sshd"),
        })
    }

    fn run(mut self, port: u16) -> Result<std::convert::Infallible> {
        let signals = SigSet::from_iter([Signal::SIGCHLD]);
        signals.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let children = SignalFd::with_flags(&signals, flags)?;
        let listeners = listeners(port)?;
        // Whoever wants to know which process listens can do without.
        let _ = std::fs::write(PID_FILE, format!("{}\n", std::process::id()));
        loop {
            let waited = [children.as_fd()].into_iter();
            let waited = waited.chain(listeners.iter().map(AsFd::as_fd));
            let waited = waited.chain(self.open.iter().map(|one| one.logged_in.as_fd()));
            let mut waited = Vec::from_iter(waited.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut waited, self.next_deadline()) {
                Ok(_) | Err(Errno::EINTR) => (),
                Err(error) => return Err(error.into()),
            }
            let ready = Vec::from_iter(waited.iter().map(|one| one.any() == Some(true)));
            let (listening, logged_in) = ready[1..].split_at(listeners.len());
            let mut logged_in = logged_in.iter();
            self.open.retain(|_| logged_in.next() != Some(&true));
            while children.read_signal()?.is_some() {}
            reap();
            self.end_overdue(Instant::now());
            for (listener, _) in listeners.iter().zip(listening).filter(|(_, ready)| **ready) {
                self.accept(listener);
            }
        }
    }

    /// Until somebody has had his time to log in; without one, until something happens.
    fn next_deadline(&self) -> PollTimeout {
        let Some(next) = self.open.iter().map(|one| one.until).min() else {
            return PollTimeout::NONE;
        };
        let left = next.saturating_duration_since(Instant::now());
        // Rounded up, so that it is due when poll returns.
        PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
    }

    fn accept(&mut self, listener: &TcpListener) {
        // A client may be gone before it is accepted; nothing else is there to be done about an error.
        let Ok((stream, peer)) = listener.accept() else {
            return;
        };
        if let Some(why) = self.refuses(peer.ip()) {
            if let Some(line) = self
                .refused
                .line(&format!("{}: {why}", shown(peer)), Instant::now())
            {
                self.syslog.say(&line);
            }
            return;
        }
        self.syslog.say(&format!("connection from {}", shown(peer)));
        match self.serve(&stream) {
            Ok((process, logged_in)) => self.open.push(Connection {
                peer,
                process,
                logged_in,
                until: Instant::now() + LOGIN_GRACE,
            }),
            Err(error) => self.syslog.say(&format!("{DROPBEAR}: {error}")),
        }
    }

    /// Why a connection is turned away, if it is.
    fn refuses(&self, peer: IpAddr) -> Option<String> {
        if !self.allow.is_empty() && !self.allow.iter().any(|one| one.contains(peer)) {
            return Some("not in a network of `ssh.allow`".into());
        }
        let open = self.open.len();
        self.startups
            .refuses(open, limits::percent())
            .then(|| format!("{open} connections without a login ({})", self.startups))
    }

    /// Starts dropbear for a connection. With no signal blocked, and no other file than those it needs.
    fn serve(&self, stream: &TcpStream) -> Result<(Pid, OwnedFd)> {
        // As dropbear's own listener does: what somebody types is sent at once.
        stream.set_nodelay(true)?;
        let (logged_in, tells) = pipe2(OFlag::O_CLOEXEC)?;
        let mut files = PosixSpawnFileActions::init()?;
        files.add_dup2(stream.as_raw_fd(), 0)?;
        files.add_dup2(tells.as_raw_fd(), LOGGED_IN)?;
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | NEW_SESSION)?;
        attributes.set_sigmask(&SigSet::empty())?;
        let environment = std::env::vars().map(|(name, value)| format!("{name}={value}"));
        let environment: Vec<_> = environment.flat_map(CString::new).collect();
        let process = posix_spawn(DROPBEAR, &files, &attributes, &self.words, &environment)?;
        Ok((process, logged_in))
    }

    /// Ends connections that nobody has logged in on in time.
    fn end_overdue(&mut self, now: Instant) {
        let syslog = &mut self.syslog;
        self.open.retain(|one| {
            let overdue = one.until <= now;
            if overdue {
                // One that has just ended needs no signal.
                let _ = kill(one.process, Signal::SIGKILL);
                let (peer, seconds) = (shown(one.peer), LOGIN_GRACE.as_secs());
                syslog.say(&format!("closed {peer}: no login within {seconds} s"));
            }
            !overdue
        });
    }
}

/// A socket for each family that the kernel has.
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

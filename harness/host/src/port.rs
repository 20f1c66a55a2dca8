//! TCP ports of this host: reserving one for a machine, finding the process that listens on one, and
//! finding the process at the other end of a connection.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use tokio::net::TcpSocket;

/// A reserved port of the loopback address. Until this value is dropped, the kernel does not assign the
/// port to a socket that binds port 0. A process that binds this port explicitly can listen on it,
/// repeatedly: the reserving socket is bound, does not listen, and shares its port (`SO_REUSEADDR`).
#[derive(Debug)]
pub struct ReservedPort {
    port: u16,
    _socket: TcpSocket,
}

impl ReservedPort {
    /// Reserves this port, or any port for 0.
    ///
    /// # Errors
    /// The port is in use; the text names the process.
    pub fn new(port: u16) -> Result<Self, String> {
        let bind = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
            let port = socket.local_addr()?.port();
            let _socket = socket;
            Ok(Self { port, _socket })
        };
        bind().map_err(|error| bind_error(port, &error))
    }

    /// The port number.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Checks that a port of the loopback address is free.
///
/// # Errors
/// The process that uses it, as far as this user can see.
pub fn check_free(port: u16) -> Result<(), String> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(bind_error(port, &error)),
    }
}

fn bind_error(port: u16, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => taken(port),
        _ => format!("cannot bind port {port}: {error}"),
    }
}

/// The message for a port that is in use.
pub fn taken(port: u16) -> String {
    let owner = owner(port).unwrap_or_else(|| "a process that this user cannot inspect".into());
    format!("port {port} is in use by {owner}")
}

/// The process that listens on `port`, as `COMMAND (pid PID)`.
fn owner(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<_> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    let pid = processes().find(|pid| inodes.iter().any(|inode| holds_socket(*pid, inode)))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (pid {pid})", name.trim()))
}

/// A line of `/proc/net/tcp` (proc_pid_net(5)).
struct Socket<'a> {
    local: &'a str,
    remote: &'a str,
    state: &'a str,
    /// 0 until the connection is accepted.
    inode: &'a str,
}

fn sockets(table: &str) -> impl Iterator<Item = Socket<'_>> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields[..] else {
            return None;
        };
        Some(Socket {
            local,
            remote,
            state,
            inode,
        })
    })
}

/// Socket inodes in state LISTEN (`0A`) on `port`, from the text of `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    sockets(table)
        .filter(|socket| socket.local.ends_with(&suffix) && socket.state == "0A")
        .map(|socket| socket.inode.to_owned())
        .collect()
}

/// Whether a process accepted the other end of a local connection, as far as this user can see.
pub fn is_accepted_by(pid: u32, stream: &TcpStream) -> bool {
    let known = || {
        let (theirs, ours) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
        let (theirs, ours) = (in_table(theirs)?, in_table(ours)?);
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let socket = sockets(&table).find(|one| one.local == theirs && one.remote == ours)?;
        Some(holds_socket(pid, socket.inode))
    };
    known().unwrap_or(false)
}

/// An IPv4 address in the format of `/proc/net/tcp`; IPv6 addresses are in another table.
fn in_table(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{ip:08X}:{:04X}", address.port()))
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn holds_socket(pid: u32, inode: &str) -> bool {
    let wanted = format!("socket:[{inode}]");
    let folder = std::fs::read_dir(format!("/proc/{pid}/fd"));
    folder
        .into_iter()
        .flatten()
        .flatten()
        .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == Path::new(&wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_process_when_a_port_is_in_use() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_free(port).unwrap_err();
        assert!(
            error.contains(&format!("(pid {})", std::process::id())),
            "{error}"
        );
        drop(listener);
        check_free(port).unwrap();
    }

    #[test]
    fn reserved_port_is_only_used_when_it_is_requested_explicitly() {
        let kept = ReservedPort::new(0).unwrap();
        let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        for _ in 0..2 {
            assert_eq!(
                listen(kept.port()).local_addr().unwrap().port(),
                kept.port()
            );
        }
        let others: Vec<_> = (0..100).map(|_| listen(0)).collect();
        let ports = others
            .iter()
            .map(|other| other.local_addr().unwrap().port());
        assert!(!ports.into_iter().any(|port| port == kept.port()));
        let listener = listen(kept.port());
        let error = ReservedPort::new(kept.port()).unwrap_err();
        assert!(error.contains("is in use by"), "{error}");
        drop(listener);
    }

    #[test]
    fn connection_is_accepted_by_the_process_that_called_accept() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!is_accepted_by(std::process::id(), &ours));
        let _theirs = listener.accept().unwrap();
        assert!(is_accepted_by(std::process::id(), &ours));
        assert!(!is_accepted_by(std::os::unix::process::parent_id(), &ours));
    }

    #[test]
    fn listening_inodes_ignore_connections_and_other_ports() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:08AE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n\
             1: 0100007F:08AE 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 78 1\n\
             2: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 79 1\n";
        assert_eq!(listening_inodes(table, 2222), ["77"]);
    }
}

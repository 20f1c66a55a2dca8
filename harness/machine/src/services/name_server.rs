//! A name server (DNS, RFC 1035) on this host. It knows a few names, and answers NXDOMAIN for all
//! others.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// Maximum bytes of a message over UDP (RFC 1035, 2.3.4).
const PACKET: usize = 512;
const HEADER: usize = 12;
/// Record type A (IPv4 address).
const ADDRESS: [u8; 2] = [0, 1];

/// Lower-case names and their addresses.
pub type Names = BTreeMap<String, Ipv4Addr>;

/// A running name server; dropping it stops it.
#[derive(Debug)]
pub struct NameServer {
    port: u16,
    task: AbortHandle,
}

impl NameServer {
    /// Starts the server; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// No port is free on this host.
    pub async fn start(names: Names) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = socket.local_addr()?.port();
        let task = tokio::spawn(serve(socket, names)).abort_handle();
        Ok(Self { port, task })
    }

    /// The UDP port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, names: Names) {
    let mut question = [0; PACKET];
    loop {
        // The error of one exchange (the client closed its port) does not end the server.
        let Ok((length, from)) = socket.recv_from(&mut question).await else {
            continue;
        };
        if let Some(answer) = answer(&question[..length], &names) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// Whether a message asks for one of the names.
pub(crate) fn asks_for(message: &[u8], names: &Names) -> bool {
    let asked = message.get(HEADER..).and_then(name);
    asked.is_some_and(|(name, _)| names.contains_key(&name))
}

/// Repeats the header and the question, and adds an address if there is one.
pub(crate) fn answer(message: &[u8], names: &Names) -> Option<Vec<u8>> {
    let header = message.get(..HEADER)?;
    let is_query = header[2] & 0x80 == 0 && header[4..6] == [0, 1];
    let (name, length) = name(&message[HEADER..])?;
    let question = message.get(HEADER..HEADER + length + 4)?;
    if !is_query {
        return None;
    }
    let known = names.get(&name);
    let address = known.filter(|_| question[length..length + 2] == ADDRESS);
    let mut answer = header[..2].to_vec();
    // Authoritative answer, recursion desired and available; NXDOMAIN is 3.
    answer.extend([0x85, if known.is_some() { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    answer.extend(question);
    if let Some(address) = address {
        // A pointer to the name in the question, type, class, TTL 60 s, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// The name at the start of `bytes`, and its length in bytes.
fn name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 0);
    loop {
        let length = usize::from(*bytes.get(at)?);
        let label = bytes.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: u8) -> Vec<u8> {
        let mut message = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(b"\x07Outside\x07example\0");
        message.extend([0, kind, 0, 1]);
        message
    }

    #[test]
    fn known_name_has_an_ipv4_address_only() {
        let names = [("outside.example".to_owned(), Ipv4Addr::new(10, 0, 2, 9))].into();
        let answered = answer(&question(1), &names).unwrap();
        assert_eq!(answered[..8], [7, 8, 0x85, 0x80, 0, 1, 0, 1]);
        assert!(answered.ends_with(&[0, 4, 10, 0, 2, 9]));
        let six = answer(&question(28), &names).unwrap();
        assert_eq!(six[2..8], [0x85, 0x80, 0, 1, 0, 0]);
        assert!(asks_for(&question(28), &names));
        let unknown = answer(&question(1), &Names::new()).unwrap();
        assert_eq!(unknown[3], 0x83);
        assert!(!asks_for(&question(1), &Names::new()));
    }

    #[test]
    fn message_that_is_no_question_gets_no_answer() {
        let whole = question(1);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length], &Names::new()), None, "{length}");
            assert!(!asks_for(&whole[..length], &Names::new()), "{length}");
        }
        let mut reply = whole;
        reply[2] |= 0x80;
        assert_eq!(answer(&reply, &Names::new()), None);
    }
}

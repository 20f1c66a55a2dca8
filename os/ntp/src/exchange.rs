//! A question to a time server, and what its answer says.

use std::collections::BTreeMap;
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Octets of a question, and of an answer without extensions.
const PACKET: usize = 48;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Seconds from 1900, where NTP begins to count, to 1970.
const EPOCH: u64 = 2_208_988_800;

/// Time servers, and what was said of those that gave no answer.
pub struct Servers {
    names: Vec<String>,
    failed: BTreeMap<String, String>,
}

impl Servers {
    /// `HOST` or `HOST:PORT` each.
    pub fn new(names: Vec<String>) -> Self {
        let failed = BTreeMap::new();
        Self { names, failed }
    }

    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many seconds the clock is behind, by the middle one of the servers that answer.
    ///
    /// Says which do not, each once until it fails in another way: a machine that no time server can
    /// be reached from would fill its log, and be awake for it.
    pub fn offset(&mut self) -> Option<f64> {
        let mut offsets = Vec::new();
        for server in &self.names {
            match ask(server) {
                Ok(offset) => {
                    self.failed.remove(server);
                    offsets.push(offset);
                }
                Err(error) => {
                    if let Some(news) = news(&mut self.failed, server, error.to_string()) {
                        eprintln!("ntp: {news}");
                    }
                }
            }
        }
        offsets.sort_by(f64::total_cmp);
        offsets.get(offsets.len() / 2).copied()
    }
}

/// What is to be said of a server that failed, where that was not said the last time.
fn news(failed: &mut BTreeMap<String, String>, server: &str, error: String) -> Option<String> {
    let told = format!("{server}: {error}");
    let before = failed.insert(server.to_owned(), error.clone());
    (before != Some(error)).then_some(told)
}

fn ask(server: &str) -> std::io::Result<f64> {
    let known = |addresses: std::io::Result<std::vec::IntoIter<_>>| {
        addresses?.next().ok_or_else(no_address)
    };
    let address = match server.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !host.ends_with(':') => {
            known(server.to_socket_addrs())?
        }
        _ => known((server, 123).to_socket_addrs())?,
    };
    let socket = UdpSocket::bind(if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    })?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let sent = now();
    socket.send(&question(sent))?;
    let mut answer = [0; PACKET];
    let length = socket.recv(&mut answer)?;
    evaluate(&answer[..length], sent, now()).ok_or_else(|| {
        std::io::Error::other("this is no answer of a time server that knows the time")
    })
}

fn no_address() -> std::io::Error {
    std::io::Error::other("it has no address")
}

/// Version 4, mode 3 (client).
fn question(sent: u64) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[0] = 4 << 3 | 3;
    packet[40..].copy_from_slice(&sent.to_be_bytes());
    packet
}

/// Seconds that the clock is behind; none for what is no answer to the question that was `sent`, or
/// of a server whose own clock is not set.
fn evaluate(answer: &[u8], sent: u64, arrived: u64) -> Option<f64> {
    let time = |at: usize| Some(u64::from_be_bytes(answer.get(at..at + 8)?.try_into().ok()?));
    let (asked, received, answered) = (time(24)?, time(32)?, time(40)?);
    let (alarm, mode, stratum) = (answer[0] >> 6 == 3, answer[0] & 7, answer[1]);
    if asked != sent || alarm || mode != 4 || !(1..16).contains(&stratum) || answered == 0 {
        return None;
    }
    Some((seconds(received, sent) + seconds(answered, arrived)) / 2.0)
}

/// From one time to another, which are less than 68 years apart: they begin anew in 2036.
fn seconds(to: u64, from: u64) -> f64 {
    to.wrapping_sub(from).cast_signed() as f64 / 2_f64.powi(32)
}

/// Seconds since 1900 and their fraction, 32 bits each.
fn now() -> u64 {
    // A clock before 1970 is as wrong as one at 1970.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + EPOCH) << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;

    fn answer(sent: u64, received: u64, answered: u64) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        (packet[0], packet[1]) = (4 << 3 | 4, 2);
        packet[24..32].copy_from_slice(&sent.to_be_bytes());
        packet[32..40].copy_from_slice(&received.to_be_bytes());
        packet[40..48].copy_from_slice(&answered.to_be_bytes());
        packet
    }

    #[test]
    fn the_way_there_and_back_is_left_out() {
        // Half a second each way, and the clock is ten seconds behind.
        let sent = 100 * SECOND;
        let packet = answer(sent, sent + 10 * SECOND + SECOND / 2, sent + 11 * SECOND);
        let arrived = sent + SECOND + SECOND / 2;
        assert_eq!(evaluate(&packet, sent, arrived), Some(10.0));
    }

    #[test]
    fn what_begins_anew_in_2036_is_no_step_back() {
        let sent = u64::MAX - 2 * SECOND;
        let packet = answer(
            sent,
            sent.wrapping_add(4 * SECOND),
            sent.wrapping_add(4 * SECOND),
        );
        assert_eq!(evaluate(&packet, sent, sent), Some(4.0));
    }

    #[test]
    fn a_failure_is_told_when_it_is_another_one() {
        let mut failed = BTreeMap::new();
        let mut told = |server: &str, error: &str| news(&mut failed, server, error.into());
        assert_eq!(told("a", "refused"), Some("a: refused".into()));
        assert_eq!(told("a", "refused"), None);
        assert_eq!(told("b", "refused"), Some("b: refused".into()));
        assert_eq!(told("a", "no route"), Some("a: no route".into()));
        assert_eq!(told("a", "refused"), Some("a: refused".into()));
    }

    #[test]
    fn no_answer_is_believed_that_is_none() {
        let good = answer(7, 8, 9);
        assert!(evaluate(&good, 7, 8).is_some());
        assert_eq!(evaluate(&good, 6, 8), None);
        assert_eq!(evaluate(&good[..47], 7, 8), None);
        let mut unset = good;
        unset[0] |= 0b1100_0000;
        assert_eq!(evaluate(&unset, 7, 8), None);
        let mut refused = good;
        refused[1] = 0;
        assert_eq!(evaluate(&refused, 7, 8), None);
    }
}

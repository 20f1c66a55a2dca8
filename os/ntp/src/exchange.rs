//! Queries time servers and computes the offset of the clock.

use std::collections::BTreeMap;
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The size of a request, and of a response without extensions, in bytes.
const PACKET: usize = 48;

/// The timeout of a response.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Seconds from the epoch of NTP (1900) to the epoch of Unix (1970).
const EPOCH: u64 = 2_208_988_800;

/// Time servers, and the last error of each server that failed.
pub(crate) struct Servers {
    names: Vec<String>,
    failed: BTreeMap<String, String>,
}

impl Servers {
    /// Each name is `HOST` or `HOST:PORT`.
    pub(crate) fn new(names: Vec<String>) -> Self {
        let failed = BTreeMap::new();
        Self { names, failed }
    }

    /// Whether there are no servers.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The offset of the clock in seconds: the median of the servers that answer. It is positive if the
    /// clock is behind.
    ///
    /// Prints an error of a server only when it differs from the server's last one. Otherwise a machine
    /// that cannot reach any server would fill its log.
    pub(crate) fn offset(&mut self) -> Option<f64> {
        let mut offsets = Vec::new();
        for server in &self.names {
            match query(server) {
                Ok(offset) => {
                    self.failed.remove(server);
                    offsets.push(offset);
                }
                Err(error) => {
                    if let Some(message) = new_error(&mut self.failed, server, error.to_string()) {
                        eprintln!("ntp: {message}");
                    }
                }
            }
        }
        offsets.sort_by(f64::total_cmp);
        offsets.get(offsets.len() / 2).copied()
    }
}

/// The message for a failed server, if its error differs from the last one.
fn new_error(failed: &mut BTreeMap<String, String>, server: &str, error: String) -> Option<String> {
    let message = format!("{server}: {error}");
    let before = failed.insert(server.to_owned(), error.clone());
    (before != Some(error)).then_some(message)
}

fn query(server: &str) -> std::io::Result<f64> {
    let mut addresses = match server.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !host.ends_with(':') => {
            server.to_socket_addrs()?
        }
        _ => (server, 123).to_socket_addrs()?,
    };
    let no_address = || std::io::Error::other("the name has no address");
    let address = addresses.next().ok_or_else(no_address)?;
    let socket = UdpSocket::bind(if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    })?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let sent = now();
    socket.send(&request(sent))?;
    let mut response = [0; PACKET];
    let length = socket.recv(&mut response)?;
    evaluate(&response[..length], sent, now()).ok_or_else(|| {
        std::io::Error::other("invalid response, or the server's clock is not synchronized")
    })
}

/// A request of version 4, mode 3 (client).
fn request(sent: u64) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[0] = 4 << 3 | 3;
    packet[40..].copy_from_slice(&sent.to_be_bytes());
    packet
}

/// The offset in seconds that a response yields. Returns `None` if it does not answer the request that
/// was `sent`, or if the server's clock is not synchronized.
fn evaluate(response: &[u8], sent: u64, arrived: u64) -> Option<f64> {
    let time = |at: usize| {
        Some(u64::from_be_bytes(
            response.get(at..at + 8)?.try_into().ok()?,
        ))
    };
    let (originate, received, transmitted) = (time(24)?, time(32)?, time(40)?);
    let (alarm, mode, stratum) = (response[0] >> 6 == 3, response[0] & 7, response[1]);
    if originate != sent || alarm || mode != 4 || !(1..16).contains(&stratum) || transmitted == 0 {
        return None;
    }
    Some((seconds(received, sent) + seconds(transmitted, arrived)) / 2.0)
}

/// Seconds from one time to another. They must be less than 68 years apart, because timestamps wrap
/// around in 2036.
fn seconds(to: u64, from: u64) -> f64 {
    to.wrapping_sub(from).cast_signed() as f64 / 2_f64.powi(32)
}

/// Seconds since 1900 and their fraction, 32 bits each.
fn now() -> u64 {
    // A clock before 1970 is treated as 1970; it is wrong in any case.
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

    fn response(sent: u64, received: u64, transmitted: u64) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        (packet[0], packet[1]) = (4 << 3 | 4, 2);
        packet[24..32].copy_from_slice(&sent.to_be_bytes());
        packet[32..40].copy_from_slice(&received.to_be_bytes());
        packet[40..48].copy_from_slice(&transmitted.to_be_bytes());
        packet
    }

    #[test]
    fn offset_excludes_the_network_delay() {
        // The delay is half a second each way, and the clock is ten seconds behind.
        let sent = 100 * SECOND;
        let packet = response(sent, sent + 10 * SECOND + SECOND / 2, sent + 11 * SECOND);
        let arrived = sent + SECOND + SECOND / 2;
        assert_eq!(evaluate(&packet, sent, arrived), Some(10.0));
    }

    #[test]
    fn offset_is_right_when_timestamps_wrap_around() {
        let sent = u64::MAX - 2 * SECOND;
        let packet = response(
            sent,
            sent.wrapping_add(4 * SECOND),
            sent.wrapping_add(4 * SECOND),
        );
        assert_eq!(evaluate(&packet, sent, sent), Some(4.0));
    }

    #[test]
    fn server_error_is_reported_when_it_changes() {
        let mut failed = BTreeMap::new();
        let mut report = |server: &str, error: &str| new_error(&mut failed, server, error.into());
        assert_eq!(report("a", "refused"), Some("a: refused".into()));
        assert_eq!(report("a", "refused"), None);
        assert_eq!(report("b", "refused"), Some("b: refused".into()));
        assert_eq!(report("a", "no route"), Some("a: no route".into()));
        assert_eq!(report("a", "refused"), Some("a: refused".into()));
    }

    #[test]
    fn response_is_rejected_when_it_is_invalid_or_unsynchronized() {
        let good = response(7, 8, 9);
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

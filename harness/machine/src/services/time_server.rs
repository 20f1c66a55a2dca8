//! A time server (SNTP, RFC 4330) on the loopback address, which serves this host's time.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// Bytes of a request and of a response.
const PACKET: usize = 48;
/// Seconds from 1900, the epoch of NTP, to 1970.
const EPOCH: f64 = 2_208_988_800.0;

/// A running time server; dropping it stops it.
#[derive(Debug)]
pub struct TimeServer {
    port: u16,
    task: AbortHandle,
}

impl TimeServer {
    /// Starts the server; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// No port is free on this host.
    pub async fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = socket.local_addr()?.port();
        let task = tokio::spawn(serve(socket)).abort_handle();
        Ok(Self { port, task })
    }

    /// The UDP port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket) {
    let mut question = [0; PACKET];
    // The error of one exchange (the client closed its port) does not end the server.
    loop {
        let Ok((PACKET, from)) = socket.recv_from(&mut question).await else {
            continue;
        };
        let answer = answer(&question, base::clock::now());
        let _ = socket.send_to(&answer, from).await;
    }
}

/// Sets the version of the request, mode 4 (server), stratum 1, and the three server timestamps.
fn answer(question: &[u8; PACKET], now: f64) -> [u8; PACKET] {
    let mut answer = [0; PACKET];
    answer[0] = question[0] & 0b0011_1000 | 4;
    answer[1] = 1;
    answer[12..16].copy_from_slice(b"LOCL");
    let now = timestamp(now);
    answer[16..24].copy_from_slice(&now);
    answer[24..32].copy_from_slice(&question[40..48]);
    answer[32..40].copy_from_slice(&now);
    answer[40..48].copy_from_slice(&now);
    answer
}

/// Seconds since 1900 and their fraction, 32 bits each; the seconds wrap around in 2036.
fn timestamp(unix: f64) -> [u8; 8] {
    let seconds = unix + EPOCH;
    let whole = (seconds as u64 & u64::from(u32::MAX)) << 32;
    let fraction = (seconds.fract() * 2_f64.powi(32)) as u64;
    (whole | fraction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_returns_the_timestamp_of_the_question() {
        let mut question = [0; PACKET];
        question[0] = 4 << 3 | 3;
        question[40..48].copy_from_slice(b"my nonce");
        let answer = answer(&question, 0.5);
        assert_eq!(answer[0], 4 << 3 | 4);
        assert_eq!(&answer[24..32], b"my nonce");
        assert_eq!(
            answer[40..48],
            (2_208_988_800_u64 << 32 | 1 << 31).to_be_bytes()
        );
    }
}

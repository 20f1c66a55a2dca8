//! Delays and drops packets: QEMU passes every packet of a network through this process (one
//! `filter-redirector` per direction).

use crate::network::socket::Socket;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Maximum length of a packet. A larger length means that the stream is out of sync.
const MAX_LENGTH: usize = 1 << 20;

/// The treatment of each packet, in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disturbance {
    /// Delay of each packet.
    pub delay: Duration,
    /// Percentage of packets that are dropped.
    pub loss: u8,
}

type Late = (Instant, Vec<u8>);

/// Carries the packets of one QEMU process after another.
pub(crate) async fn carry(from: Socket, back: Socket, how: Disturbance) {
    while let (Ok(from), Ok(back)) = (from.accept().await, back.accept().await) {
        let (packets, late) = mpsc::unbounded_channel();
        tokio::join!(take(from, packets, how), give(late, back));
    }
}

/// Receives packets, drops some, and records when each of the others is due.
async fn take(mut from: UnixStream, packets: mpsc::UnboundedSender<Late>, how: Disturbance) {
    let mut lottery = Lottery::new(how.loss);
    while let Ok(packet) = read(&mut from).await {
        if !lottery.loses() && packets.send((Instant::now() + how.delay, packet)).is_err() {
            return;
        }
    }
}

async fn give(mut late: mpsc::UnboundedReceiver<Late>, mut back: UnixStream) {
    while let Some((due, packet)) = late.recv().await {
        tokio::time::sleep_until(due).await;
        if back.write_all(&packet).await.is_err() {
            return;
        }
    }
}

/// Reads a packet with its length field of four bytes.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    from.read_exact(&mut packet).await?;
    let length = usize::try_from(u32::from_be_bytes([
        packet[0], packet[1], packet[2], packet[3],
    ]));
    let length = length.unwrap_or(usize::MAX);
    if length > MAX_LENGTH {
        return Err(io::ErrorKind::InvalidData.into());
    }
    packet.resize(4 + length, 0);
    from.read_exact(&mut packet[4..]).await?;
    Ok(packet)
}

/// Decides which packets are dropped. The sequence is the same in every run: content and timing of
/// packets vary enough.
struct Lottery {
    loss: u8,
    draw: fastrand::Rng,
}

impl Lottery {
    fn new(loss: u8) -> Self {
        Self {
            loss,
            draw: fastrand::Rng::with_seed(1),
        }
    }

    fn loses(&mut self) -> bool {
        self.draw.u8(0..100) < self.loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lottery_drops_the_requested_percentage() {
        let lost = |loss| {
            let mut lottery = Lottery::new(loss);
            (0..10_000).filter(|_| lottery.loses()).count()
        };
        assert_eq!((lost(0), lost(100)), (0, 10_000));
        assert!((800..1200).contains(&lost(10)), "{}", lost(10));
    }

    #[tokio::test]
    async fn packets_stay_whole_and_in_order() {
        let (mut qemu_out, from) = UnixStream::pair().unwrap();
        let (back, mut qemu_in) = UnixStream::pair().unwrap();
        let (packets, late) = mpsc::unbounded_channel();
        let how = Disturbance {
            delay: Duration::from_millis(1),
            loss: 0,
        };
        tokio::spawn(take(from, packets, how));
        tokio::spawn(give(late, back));
        let sent = [&[0, 0, 0, 2, 7, 8][..], &[0, 0, 0, 0], &[0, 0, 0, 1, 9]];
        qemu_out.write_all(&sent.concat()).await.unwrap();
        for packet in sent {
            assert_eq!(read(&mut qemu_in).await.unwrap(), packet);
        }
        drop(qemu_out);
        assert!(read(&mut qemu_in).await.is_err());
    }
}

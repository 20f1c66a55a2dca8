//! Packets that come late, or never: QEMU hands every packet of a network to this process (a
//! `filter-redirector` each way), which hands it back later or not at all.

use crate::network::socket::Socket;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A packet with its length is never longer; what says so has lost its place in the stream.
const LONGEST: usize = 1 << 20;

/// What happens to each packet, in and out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disturbance {
    /// It comes so much later.
    pub delay: Duration,
    /// So many of a hundred never come.
    pub loss: u8,
}

type Late = (Instant, Vec<u8>);

/// Carries packets of one QEMU after another.
pub(crate) async fn carry(from: Socket, back: Socket, how: Disturbance) {
    while let (Ok(from), Ok(back)) = (from.accept().await, back.accept().await) {
        let (packets, late) = mpsc::unbounded_channel();
        tokio::join!(take(from, packets, how), give(late, back));
    }
}

/// Takes packets as they come, loses some, and notes when each is due.
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

/// A packet with its length, of four bytes, before it.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    from.read_exact(&mut packet).await?;
    let length = usize::try_from(u32::from_be_bytes([
        packet[0], packet[1], packet[2], packet[3],
    ]));
    let length = length.unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    packet.resize(4 + length, 0);
    from.read_exact(&mut packet[4..]).await?;
    Ok(packet)
}

/// Which packets are lost. The same in every run: what a packet holds and when it comes is chance
/// enough.
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
    fn as_many_are_lost_as_were_asked_for() {
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

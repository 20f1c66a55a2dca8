//! Packets that come late, or never: QEMU hands every packet of a network to this process (a
//! `filter-redirector` each way), which hands it back later or not at all.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ssh::random_word;
use crate::{Machine, MachineError};
use base::private_dir::PrivateFolder;

/// Both ways, as QEMU calls them: out of the guest and into it.
const WAYS: [&str; 2] = ["tx", "rx"];
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

/// A network that is disturbed, until [`Machine::calm`].
#[derive(Debug)]
pub struct Relay {
    network: String,
    /// By which the machine remembers it.
    word: String,
    /// In the order in which they were made.
    parts: Vec<Part>,
    tasks: JoinSet<()>,
}

/// What QEMU was given.
#[derive(Debug)]
enum Part {
    Line(String),
    Filter(String),
}

impl Machine {
    /// Disturbs a network (by QEMU's name for it) from now on.
    ///
    /// # Errors
    /// It is disturbed already; QEMU's error.
    pub async fn disturb(
        &self,
        network: &str,
        disturbance: Disturbance,
    ) -> Result<Relay, MachineError> {
        let mut relay = Relay {
            network: network.to_owned(),
            word: random_word(),
            parts: Vec::new(),
            tasks: JoinSet::new(),
        };
        for way in WAYS {
            if let Err(error) = self.divert(&mut relay, way, disturbance).await {
                let _ = self.calm(relay).await;
                return Err(error);
            }
        }
        Ok(relay)
    }

    async fn divert(
        &self,
        relay: &mut Relay,
        way: &'static str,
        disturbance: Disturbance,
    ) -> Result<(), MachineError> {
        let name = format!("{}-{way}", relay.network);
        let (from, back) = (format!("{name}-from-qemu"), format!("{name}-to-qemu"));
        let out = self.line(&relay.word, &from).await?;
        relay.parts.push(Part::Line(from));
        let into = self.line(&relay.word, &back).await?;
        relay.parts.push(Part::Line(back));
        let filter = json!({
            "qom-type": "filter-redirector",
            "id": name,
            "netdev": relay.network,
            "queue": way,
            "outdev": format!("{name}-from-qemu"),
            "indev": format!("{name}-to-qemu"),
        });
        self.set(&relay.word, "object-add", filter).await?;
        relay.parts.push(Part::Filter(name));
        relay.tasks.spawn(carry(out, into, disturbance));
        Ok(())
    }

    /// A line to QEMU, which has it as a character device of this name.
    pub(crate) async fn line(&self, of: &str, name: &str) -> Result<Socket, MachineError> {
        let other = |error: io::Error| MachineError::Other(format!("{name}: {error}"));
        let socket = Socket::new(&self.chassis.make.folder, name).map_err(other)?;
        let address = json!({ "type": "unix", "data": { "path": socket.path } });
        let data = json!({ "addr": address, "server": false });
        let backend = json!({ "type": "socket", "data": data });
        let device = json!({ "id": name, "backend": backend });
        // QEMU has connected before it answers.
        self.set(of, "chardev-add", device).await?;
        Ok(socket)
    }

    /// Packets go their own way again; those that were to come late are lost.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn calm(&self, mut relay: Relay) -> Result<(), MachineError> {
        self.chassis.forget(&relay.word);
        for part in relay.parts.drain(..).rev() {
            let (command, id) = match part {
                Part::Filter(id) => ("object-del", id),
                Part::Line(id) => ("chardev-remove", id),
            };
            self.qmp(command, json!({ "id": id })).await?;
        }
        Ok(())
    }
}

/// A socket on which QEMU, and after a reset the next one, connects.
pub(crate) struct Socket {
    listener: UnixListener,
    /// Short, whatever the folder is called, and good in QEMU, too.
    path: String,
    file: PathBuf,
    _folder: File,
}

impl Socket {
    fn new(folder: &PrivateFolder, name: &str) -> io::Result<Self> {
        let held = File::open(folder.path())?;
        let path = format!(
            "/proc/{}/fd/{}/{name}",
            std::process::id(),
            held.as_raw_fd()
        );
        Ok(Self {
            listener: UnixListener::bind(&path)?,
            path,
            file: folder.file(name),
            _folder: held,
        })
    }
}

impl Socket {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It goes with the machine's folder otherwise.
        let _ = std::fs::remove_file(&self.file);
    }
}

type Late = (Instant, Vec<u8>);

/// Carries packets of one QEMU after another.
async fn carry(from: Socket, back: Socket, how: Disturbance) {
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

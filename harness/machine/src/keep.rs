//! A machine kept whole: its memory and devices are streamed by QEMU's migration through a
//! compressor of ours, its disks are written without the files that they are layers of.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::kept::{ABOUT, About, STATE, TRANSFER_SECONDS, VERSION};
use super::plan::{Drive, Format};
use super::saved::SavedDrive;
use super::transfer::{Transfer, What};
use super::{Machine, MachineError};
use crate::profile::{Accel, Accelerator};
use base::clock::now;
use base::command;
use base::process::Owned;
use base::wait::{Poll, wait_until};
use host::speed;

/// Memory compresses to little more with more effort, and somebody waits.
const LEVEL: i32 = 1;
/// Bytes that are moved at once.
const PIECE: usize = 1 << 20;
/// Bytes a second; QEMU's own limit is meant for networks.
const BANDWIDTH: u64 = 64 << 30;

impl Machine {
    /// Leaves all of the machine in a folder, in at most `limit` bytes, and ends it. Gives back how
    /// many bytes it takes. What is in the folder after an error is of no use.
    ///
    /// # Errors
    /// QEMU is gone, or cannot save this machine; the limit; the folder cannot be written.
    pub async fn keep(&self, folder: &Path, limit: u64) -> Result<u64, MachineError> {
        self.qmp("stop", Value::Null).await?;
        let mut room = limit;
        let state = self.keep_state(&folder.join(STATE), room).await?;
        room = room.saturating_sub(state);
        self.qmp("quit", Value::Null).await?;
        self.ended().await;

        let mut lengths = vec![(STATE.to_owned(), state)];
        let given = self.chassis.now().plan.drives.clone();
        let plugged = self.plugged_drives();
        for drive in given.iter().chain(&plugged) {
            let name = file_of(drive);
            let length = self.flatten(drive, &folder.join(&name), room).await?;
            room = room.saturating_sub(length);
            lengths.push((name, length));
        }
        let about = self.about(&given, &plugged, lengths);
        write_about(&folder.join(ABOUT), &about).map_err(|e| not_kept(&e))?;
        Ok(limit - room)
    }

    /// The stream of memory and devices; gives back how many bytes it takes.
    async fn keep_state(&self, file: &Path, limit: u64) -> Result<u64, MachineError> {
        let qmp = &self.now_qmp();
        let socket = self.chassis.make.folder.socket("keep.sock");
        let listener = UnixListener::bind(&socket).map_err(|e| not_kept(&e))?;
        let patience = speed::seconds(TRANSFER_SECONDS);
        let faster = json!({ "max-bandwidth": BANDWIDTH });
        qmp.execute("migrate-set-parameters", faster).await?;
        let uri = format!("unix:{socket}");
        let transfer = Transfer::write(qmp, What::All, &uri).await?;
        let written = receive(listener, file, limit, patience);
        let (written, told) = tokio::join!(written, transfer.end(patience));
        // A compressor that gave up is why QEMU could not go on, not the other way round.
        let written = written.map_err(|e| not_kept(&e))?;
        told.map(|()| written)
    }

    /// A disk without the files that it is a layer of.
    async fn flatten(&self, drive: &Drive, to: &Path, limit: u64) -> Result<u64, MachineError> {
        let qemu_img = command::find("qemu-img").ok_or_else(|| {
            MachineError::Other("no qemu-img on this host; apt install qemu-utils".into())
        })?;
        let said = self.chassis.make.folder.file("qemu-img.log");
        let log = File::create(&said).map_err(|e| not_kept(&e))?;
        let mut convert = Command::new(qemu_img);
        convert
            .args(["convert", "-q", "-c", "-W", "-f", drive.format.name()])
            .args(["-O", "qcow2", "-o", "compression_type=zstd"])
            .args([&drive.file, to])
            .stdin(Stdio::null())
            .stderr(log);
        let convert = Owned::spawn(convert).map_err(|e| not_kept(&e))?;
        let ended = convert.ended();
        let written = async || {
            let length = to.metadata().map_or(0, |m| m.len());
            match *ended.borrow() {
                _ if length > limit => Poll::Failed(over_limit().to_string()),
                Some(status) if status.success() => Poll::Ready(length),
                Some(_) => Poll::Failed(std::fs::read_to_string(&said).unwrap_or_default()),
                None => Poll::NotYet(format!("{length} bytes")),
            }
        };
        let what = format!("writing {}", drive.id);
        let patience = speed::seconds(TRANSFER_SECONDS);
        Ok(wait_until(&what, patience, written).await?)
    }

    fn about(&self, given: &[Drive], plugged: &[Drive], lengths: Vec<(String, u64)>) -> About {
        let (spec, resolved) = (&self.chassis.make.spec, &self.chassis.make.spec.profile);
        let (identity, resets) = (
            &self.target.identity,
            self.target.resets.load(Ordering::Relaxed),
        );
        About {
            version: VERSION,
            qemu: resolved.qemu_version.clone(),
            accel: match resolved.accelerator {
                Accelerator::Kvm => Accel::Kvm,
                Accelerator::Tcg { .. } => Accel::Tcg,
            },
            profile: resolved.profile.clone(),
            memory: spec.memory_mib(),
            named_memory: self.chassis.now().plan.memory_file.is_some(),
            balloon: spec.balloon,
            outside: spec.outside,
            kernel_args: spec.kernel_args.clone(),
            metadata: spec.metadata.clone(),
            first_card: spec.first_card.clone(),
            cards: spec.cards.clone(),
            words: identity.words(),
            host_key: identity.pinned_after(resets),
            drives: given.iter().map(kept_drive).collect(),
            plugged: self.plugged_in(plugged.iter().map(kept_drive).collect()),
            lengths,
            at: now(),
        }
    }
}

fn file_of(drive: &Drive) -> String {
    format!("{}.qcow2", drive.id)
}

fn kept_drive(drive: &Drive) -> SavedDrive {
    SavedDrive {
        id: drive.id.clone(),
        file: file_of(drive),
        format: Format::Qcow2,
        bus: drive.bus,
        read_only: drive.read_only,
    }
}

/// Compresses what QEMU sends.
async fn receive(
    listener: UnixListener,
    file: &Path,
    limit: u64,
    patience: Duration,
) -> io::Result<u64> {
    let accepted = tokio::time::timeout(patience, listener.accept()).await;
    let (stream, _) = accepted.map_err(|_| io::Error::other("QEMU sent nothing"))??;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || compress(stream, &file, limit))
        .await
        .map_err(io::Error::other)?
}

fn compress(stream: UnixStream, file: &Path, limit: u64) -> io::Result<u64> {
    let file = Limited {
        file: File::create_new(file)?,
        limit,
        written: 0,
    };
    let mut encoder = zstd::Encoder::new(file, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut stream = io::BufReader::with_capacity(PIECE, stream);
    io::copy(&mut stream, &mut encoder)?;
    Ok(encoder.finish()?.written)
}

/// A file that does not grow beyond a limit.
struct Limited {
    file: File,
    limit: u64,
    written: u64,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        match self.written > self.limit {
            true => Err(over_limit()),
            false => Ok(written),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn over_limit() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "it takes more than the limit (--keep-machine-limit)",
    )
}

fn not_kept(error: &io::Error) -> MachineError {
    MachineError::Other(error.to_string())
}

fn write_about(file: &Path, about: &About) -> io::Result<()> {
    let mut file = File::create_new(file)?;
    file.write_all(&serde_json::to_vec_pretty(about)?)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(limit: u64) -> io::Result<(u64, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
        let sender = std::thread::spawn(move || drop(ours.write_all(&sent)));
        let length = compress(theirs, &file, limit);
        sender.join().unwrap();
        assert!(file.metadata().unwrap().len() <= limit + PIECE as u64);
        let bytes = zstd::decode_all(File::open(file)?);
        Ok((length?, bytes?))
    }

    #[test]
    fn what_is_compressed_is_all_there_and_counted() {
        let (length, bytes) = compressed(u64::MAX / 2).unwrap();
        assert_eq!(bytes.len(), 2_000_000);
        assert!(length > 0 && length < 2_000_000);
    }

    #[test]
    fn the_limit_ends_it_early() {
        let error = compressed(1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}

//! The stream of memory and devices of a failure snapshot, compressed on its way from and to QEMU.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixListener;

/// Compression level. A higher level makes memory hardly smaller, and a user waits.
const LEVEL: i32 = 1;
/// Bytes per read.
const PIECE: usize = 1 << 20;

/// Compresses the stream that QEMU sends. Returns the compressed length in bytes.
pub(crate) async fn receive(
    listener: UnixListener,
    file: &Path,
    limit: u64,
    timeout: Duration,
) -> io::Result<u64> {
    let accepted = tokio::time::timeout(timeout, listener.accept()).await;
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

/// A file that fails to grow beyond a limit.
struct Limited {
    file: File,
    limit: u64,
    written: u64,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        if self.written > self.limit {
            Err(over_limit())
        } else {
            Ok(written)
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

pub(crate) fn over_limit() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "the snapshot exceeds the size limit (--keep-machine-limit)",
    )
}

/// Decompresses the state into the socket on which QEMU waits for it.
pub(crate) fn feed(state: &Path, socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    match zstd::stream::copy_decode(File::open(state)?, &mut stream) {
        // QEMU closed the socket first. Read on, to find out whether the file is damaged.
        Err(error) if hung_up(&error) => zstd::stream::copy_decode(File::open(state)?, io::sink()),
        fed => fed,
    }
}

fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
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
    fn compressed_stream_is_complete_and_its_length_is_returned() {
        let (length, bytes) = compressed(u64::MAX / 2).unwrap();
        assert_eq!(bytes.len(), 2_000_000);
        assert!(length > 0 && length < 2_000_000);
    }

    #[test]
    fn compression_stops_at_the_limit() {
        let error = compressed(1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn damaged_state_is_reported_even_when_qemu_gives_up_first() {
        use std::os::unix::fs::FileExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (state, socket) = (
            folder.path().join("state.zst"),
            folder.path().join("socket"),
        );
        let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut encoder = zstd::Encoder::new(File::create(&state).unwrap(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        io::copy(&mut content.as_slice(), &mut encoder).unwrap();
        encoder.finish().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let gives_up = std::thread::spawn(move || {
            for _ in 0..2 {
                drop(listener.accept());
            }
        });
        assert!(
            feed(&state, &socket).is_ok(),
            "the file is intact; QEMU explains its error"
        );
        let file = File::options().write(true).open(&state).unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        file.write_all_at(&[0x55; 4096], middle).unwrap();
        assert!(feed(&state, &socket).is_err());
        gives_up.join().unwrap();
    }
}

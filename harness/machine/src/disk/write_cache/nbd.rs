//! The part of the NBD protocol that QEMU uses for a disk: read, write, flush.
//!
//! Implements the server side of the fixed newstyle handshake with `NBD_OPT_GO`, simple replies, and one
//! request at a time: a flush covers all writes that were answered before it. The server of the `nbd`
//! crate passes neither flushes nor FUA to its disk, and this disk is about those.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use super::disk::Disk;
use super::lock;

const MAGIC: u64 = 0x4e42_444d_4147_4943;
const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;

/// Fixed newstyle, no padding.
const HANDSHAKE_FLAGS: u16 = 0b11;
/// Flags: has flags, supports flush, supports FUA.
const DISK_FLAGS: u16 = 0b1101;

const OPTION_ABORT: u32 = 2;
const OPTION_GO: u32 = 7;
const ACKNOWLEDGED: u32 = 1;
const INFORMATION: u32 = 3;
const UNSUPPORTED: u32 = 0x8000_0001;
/// Maximum length of an option, in bytes: a name and some numbers.
const MAX_OPTION: u32 = 1 << 16;

const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
/// Flag of a command that is answered after its data is on the medium.
const FUA: u16 = 1;
/// Maximum length of a request that is allowed without negotiation, in bytes.
const MAX_LENGTH: u32 = 32 << 20;

/// Serves a disk until the other end is closed.
///
/// # Errors
/// The connection broke, or the peer does not speak NBD.
pub(super) fn serve(line: UnixStream, disk: &Mutex<Disk>) -> io::Result<()> {
    let mut server = Server {
        output: line.try_clone()?,
        input: BufReader::new(line),
        disk,
    };
    if !server.handshake()? {
        return Ok(());
    }
    while let Some(request) = server.request()? {
        if !server.answer(&request)? {
            return server.discard_requests();
        }
    }
    Ok(())
}

struct Server<'a> {
    input: BufReader<UnixStream>,
    output: UnixStream,
    disk: &'a Mutex<Disk>,
}

struct Request {
    flags: u16,
    kind: u16,
    cookie: u64,
    offset: u64,
    length: u32,
    /// Data of a write.
    payload: Vec<u8>,
}

impl Server<'_> {
    /// Negotiates until the client starts transmission; `false` if it aborts.
    fn handshake(&mut self) -> io::Result<bool> {
        let hello = [
            &MAGIC.to_be_bytes()[..],
            &OPTION_MAGIC.to_be_bytes(),
            &HANDSHAKE_FLAGS.to_be_bytes(),
        ];
        self.output.write_all(&hello.concat())?;
        let _client_flags: [u8; 4] = self.bytes()?;
        loop {
            let magic = u64::from_be_bytes(self.bytes()?);
            let option = u32::from_be_bytes(self.bytes()?);
            let length = u32::from_be_bytes(self.bytes()?);
            check(magic == OPTION_MAGIC && length <= MAX_OPTION)?;
            self.skip(length)?;
            match option {
                OPTION_GO => {
                    let size = lock(self.disk).size();
                    let about = [
                        &0_u16.to_be_bytes()[..],
                        &size.to_be_bytes(),
                        &DISK_FLAGS.to_be_bytes(),
                    ];
                    self.reply(option, INFORMATION, &about.concat())?;
                    return self.reply(option, ACKNOWLEDGED, &[]).map(|()| true);
                }
                OPTION_ABORT => return self.reply(option, ACKNOWLEDGED, &[]).map(|()| false),
                _ => self.reply(option, UNSUPPORTED, &[])?,
            }
        }
    }

    fn reply(&mut self, option: u32, reply: u32, data: &[u8]) -> io::Result<()> {
        let length = data.len() as u32;
        let head = [
            OPTION_REPLY.to_be_bytes().to_vec(),
            [option, reply, length].map(u32::to_be_bytes).concat(),
        ];
        self.output.write_all(&[&head.concat()[..], data].concat())
    }

    /// The next request; `None` when the client disconnects.
    fn request(&mut self) -> io::Result<Option<Request>> {
        let magic = match self.bytes() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            magic => u32::from_be_bytes(magic?),
        };
        let mut request = Request {
            flags: u16::from_be_bytes(self.bytes()?),
            kind: u16::from_be_bytes(self.bytes()?),
            cookie: u64::from_be_bytes(self.bytes()?),
            offset: u64::from_be_bytes(self.bytes()?),
            length: u32::from_be_bytes(self.bytes()?),
            payload: Vec::new(),
        };
        check(magic == REQUEST && request.length <= MAX_LENGTH)?;
        if request.kind == WRITE {
            request.payload = vec![0; request.length as usize];
            self.input.read_exact(&mut request.payload)?;
        }
        Ok((request.kind != DISCONNECT).then_some(request))
    }

    /// Executes a request. Returns `false`, and does nothing, if the power was cut.
    fn answer(&mut self, request: &Request) -> io::Result<bool> {
        let done = {
            let mut disk = lock(self.disk);
            if disk.is_off() {
                return Ok(false);
            }
            perform(&mut disk, request)
        };
        let (error, data) = match done {
            Ok(data) => (0, data),
            Err(error) => (errno(&error), Vec::new()),
        };
        let head = [REPLY, error].map(u32::to_be_bytes).concat();
        let reply = [&head[..], &request.cookie.to_be_bytes(), &data].concat();
        self.output.write_all(&reply).map(|()| true)
    }

    /// Discards all requests: a disk without power does not answer, not even with an error.
    fn discard_requests(&mut self) -> io::Result<()> {
        io::copy(&mut self.input, &mut io::sink()).map(drop)
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map(|()| bytes)
    }

    fn skip(&mut self, length: u32) -> io::Result<()> {
        let mut part = self.input.by_ref().take(length.into());
        io::copy(&mut part, &mut io::sink()).map(drop)
    }
}

fn perform(disk: &mut Disk, request: &Request) -> io::Result<Vec<u8>> {
    match request.kind {
        READ => disk.read(request.offset, request.length as usize),
        WRITE => {
            let durable = request.flags & FUA != 0;
            disk.write(request.offset, &request.payload, durable)?;
            Ok(Vec::new())
        }
        FLUSH => {
            disk.flush();
            Ok(Vec::new())
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Error numbers of the protocol, which are those of Linux.
fn errno(error: &io::Error) -> u32 {
    match error.kind() {
        io::ErrorKind::InvalidInput => 22,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => 28,
        _ => 5,
    }
}

fn check(fine: bool) -> io::Result<()> {
    if fine {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

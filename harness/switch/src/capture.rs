//! The last frames of a network, in memory, and as a file that Wireshark and tcpdump open.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::forward::Frame;

/// Link type Ethernet, and the magic number for times in microseconds (draft-ietf-opsawg-pcap, 4).
const ETHERNET: u32 = 1;
const MAGIC: u32 = 0xa1b2_c3d4;
/// Maximum length of a frame in the file.
const SNAP_LENGTH: u32 = 262_144;
/// What an entry takes beside its frame.
const ENTRY: usize = size_of::<Captured>() + 64;

/// A frame that entered the switch.
#[derive(Debug, Clone)]
pub struct Captured {
    /// When it entered.
    pub at: SystemTime,
    /// The machine that sent it; `None` for the network's own DHCP server.
    pub from: Option<Arc<str>>,
    /// The machines that it went on to. A frame that was cut or lost went to none.
    pub to: Vec<Arc<str>>,
    /// The frame, from its destination address to the end of its payload.
    pub frame: Frame,
}

/// The newest frames, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct Ring {
    frames: VecDeque<Captured>,
    /// The number of frames that were pushed.
    pushed: u64,
    bytes: usize,
    limit: usize,
}

impl Ring {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            pushed: 0,
            bytes: 0,
            limit,
        }
    }

    pub(crate) fn push(&mut self, captured: Captured) {
        self.bytes += captured.frame.len() + ENTRY;
        self.pushed += 1;
        self.frames.push_back(captured);
        while self.bytes > self.limit
            && let Some(oldest) = self.frames.pop_front()
        {
            self.bytes -= oldest.frame.len() + ENTRY;
        }
    }

    pub(crate) fn frames(&self) -> Vec<Captured> {
        self.frames.iter().cloned().collect()
    }

    /// The number of frames that were pushed.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// The frames that were pushed after the first `count`, if they are still there.
    pub(crate) fn after(&self, count: u64) -> impl Iterator<Item = &Captured> {
        let new = usize::try_from(self.pushed.saturating_sub(count)).unwrap_or(usize::MAX);
        self.frames.iter().rev().take(new)
    }
}

/// Writes frames in pcap format.
pub(crate) fn write(frames: &[Captured], to: &mut impl Write) -> io::Result<()> {
    let mut header = Vec::new();
    header.extend(MAGIC.to_ne_bytes());
    // Version 2.4; the time zone and the accuracy are always 0.
    header.extend([2_u16, 4].map(u16::to_ne_bytes).concat());
    header.extend([0, 0, SNAP_LENGTH, ETHERNET].map(u32::to_ne_bytes).concat());
    to.write_all(&header)?;
    for captured in frames {
        let since = captured.at.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or(Duration::ZERO);
        let length = u32::try_from(captured.frame.len()).unwrap_or(u32::MAX);
        let kept = length.min(SNAP_LENGTH);
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        let record = [seconds, since.subsec_micros(), kept, length];
        to.write_all(&record.map(u32::to_ne_bytes).concat())?;
        to.write_all(&captured.frame[..kept as usize])?;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(number: u8, length: usize) -> Captured {
        Captured {
            at: SystemTime::UNIX_EPOCH + Duration::from_micros(5_000_007),
            from: None,
            to: vec![],
            frame: vec![number; length].into(),
        }
    }

    #[test]
    fn the_ring_keeps_the_newest_frames() {
        let mut ring = Ring::new(3 * (100 + ENTRY));
        for number in 0..10 {
            ring.push(captured(number, 100));
        }
        let kept: Vec<u8> = ring.frames().iter().map(|one| one.frame[0]).collect();
        assert_eq!(kept, [7, 8, 9]);
        let after = |count| {
            ring.after(count)
                .map(|one| one.frame[0])
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (ring.pushed(), after(10), after(8), after(0)),
            (10, vec![], vec![9, 8], vec![9, 8, 7])
        );
        // A frame that is larger than the ring leaves it empty.
        ring.push(captured(10, 10_000));
        assert_eq!((ring.frames().len(), ring.bytes), (0, 0));
    }

    #[test]
    fn a_file_has_a_header_and_a_record_for_each_frame() {
        let mut file = Vec::new();
        write(&[captured(1, 3), captured(2, 2)], &mut file).unwrap();
        let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(20)), (MAGIC, 1));
        assert_eq!([24, 28, 32, 36].map(word), [5, 7, 3, 3]);
        assert_eq!(file[40..43], [1, 1, 1]);
        assert_eq!(file.len(), 24 + 16 + 3 + 16 + 2);
    }
}

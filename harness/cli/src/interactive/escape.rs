//! What is typed at the console: for the guest, or for the harness after Ctrl-A.

/// Ctrl-A.
const ESCAPE: u8 = 1;
/// Ctrl-C.
const INTERRUPT: u8 = 3;

/// A piece of what was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// For the guest.
    Guest(Vec<u8>),
    /// End the machine.
    End,
    /// Tell the keys.
    Help,
    /// Let the machine stand still.
    Pause,
    /// Let it go on.
    Resume,
}

/// Tells them apart, also when Ctrl-A and its letter come in two reads.
#[derive(Default)]
pub(super) struct Escape {
    pending: bool,
}

impl Escape {
    /// Until the guest is `ready` there is nothing in it to interrupt, so Ctrl-C ends the boot.
    pub(super) fn split(&mut self, bytes: &[u8], ready: bool) -> Vec<Typed> {
        let mut pieces = Vec::new();
        let mut guest = Vec::new();
        for &byte in bytes {
            let meant = match (std::mem::take(&mut self.pending), byte) {
                (false, ESCAPE) => {
                    self.pending = true;
                    continue;
                }
                (true, b'x' | b'X') => Typed::End,
                (true, b'h' | b'H' | b'?') => Typed::Help,
                (true, b'p' | b'P') => Typed::Pause,
                (true, b'c' | b'C') => Typed::Resume,
                (false, INTERRUPT) if !ready => Typed::End,
                // Ctrl-A twice is one for the guest, and so is one before any other key.
                (true, ESCAPE) | (false, _) => {
                    guest.push(byte);
                    continue;
                }
                (true, _) => {
                    guest.extend([ESCAPE, byte]);
                    continue;
                }
            };
            pieces.extend((!guest.is_empty()).then(|| Typed::Guest(std::mem::take(&mut guest))));
            pieces.push(meant);
        }
        pieces.extend((!guest.is_empty()).then_some(Typed::Guest(guest)));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_is_told_from_text() {
        let mut escape = Escape::default();
        let guest = |bytes: &[u8]| Typed::Guest(bytes.to_vec());
        assert_eq!(escape.split(b"ls\x01", true), [guest(b"ls")]);
        assert_eq!(escape.split(b"xy", true), [Typed::End, guest(b"y")]);
        assert_eq!(
            escape.split(b"a\x01\x01b\x01q", true),
            [guest(b"a\x01b\x01q")]
        );
        assert_eq!(escape.split(b"\x01h", true), [Typed::Help]);
        assert_eq!(
            escape.split(b"\x01p\x01c", true),
            [Typed::Pause, Typed::Resume]
        );
    }

    #[test]
    fn ctrl_c_is_the_guests_once_it_is_ready() {
        let mut escape = Escape::default();
        assert_eq!(escape.split(b"\x03", false), [Typed::End]);
        assert_eq!(escape.split(b"\x03", true), [Typed::Guest(vec![3])]);
    }
}

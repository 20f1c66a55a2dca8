//! Splits the keyboard input into input for the guest and commands of the harness, which begin with Ctrl-A.

/// Ctrl-A.
const ESCAPE: u8 = 1;
/// Ctrl-C.
const INTERRUPT: u8 = 3;

/// A piece of keyboard input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Input for the guest.
    Guest(Vec<u8>),
    /// Stop the machine.
    End,
    /// Show the keys.
    Help,
    /// Pause the machine.
    Pause,
    /// Resume the machine.
    Resume,
}

/// The state of the parser: Ctrl-A and its letter may arrive in two reads.
#[derive(Default)]
pub(super) struct Escape {
    pending: bool,
}

impl Escape {
    /// Splits input. Until the guest is `ready`, it has no program to interrupt, so Ctrl-C stops the boot.
    pub(super) fn split(&mut self, bytes: &[u8], ready: bool) -> Vec<Typed> {
        let mut pieces = Vec::new();
        let mut guest = Vec::new();
        for &byte in bytes {
            let command = match (std::mem::take(&mut self.pending), byte) {
                (false, ESCAPE) => {
                    self.pending = true;
                    continue;
                }
                (true, b'x' | b'X') => Typed::End,
                (true, b'h' | b'H' | b'?') => Typed::Help,
                (true, b'p' | b'P') => Typed::Pause,
                (true, b'c' | b'C') => Typed::Resume,
                (false, INTERRUPT) if !ready => Typed::End,
                // Ctrl-A Ctrl-A sends one Ctrl-A to the guest; Ctrl-A before any other key is sent with the
                // key.
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
            pieces.push(command);
        }
        pieces.extend((!guest.is_empty()).then_some(Typed::Guest(guest)));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_separates_commands_from_text() {
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
    fn ctrl_c_goes_to_the_guest_when_it_is_ready() {
        let mut escape = Escape::default();
        assert_eq!(escape.split(b"\x03", false), [Typed::End]);
        assert_eq!(escape.split(b"\x03", true), [Typed::Guest(vec![3])]);
    }
}

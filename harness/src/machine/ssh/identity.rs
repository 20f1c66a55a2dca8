//! Is it the machine that was started?
//!
//! Each boot carries a random word on its kernel command line. The first login reads it back and
//! pins the host key; later ones need only the key. A machine that was reset may come back with
//! new host keys (those of one without a state disk live in memory), so a pin is good until the
//! next reset, and then the word is read again.

use std::sync::{Mutex, PoisonError};

use ssh_key::rand_core::{OsRng, RngCore as _};

/// How a machine is told from others.
#[derive(Debug)]
pub struct Identity {
    /// The word on the kernel command line; none when the firmware boots from a disk.
    nonce: Option<String>,
    pin: Mutex<Option<Pin>>,
}

#[derive(Debug)]
struct Pin {
    host_key: Vec<u8>,
    resets: u64,
}

/// What a host key says.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// It is the pinned one.
    Yes,
    /// Nothing is pinned for this boot.
    NotYet,
    /// Another one is pinned for this boot.
    No,
}

impl Identity {
    /// Nothing is pinned.
    pub fn new(nonce: Option<String>) -> Self {
        Self {
            nonce,
            pin: Mutex::new(None),
        }
    }

    /// Judges a host key after so many resets.
    pub fn knows(&self, host_key: &[u8], resets: u64) -> Known {
        let pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        match &*pin {
            Some(pin) if pin.resets == resets && pin.host_key == host_key => Known::Yes,
            Some(pin) if pin.resets == resets => Known::No,
            _ => Known::NotYet,
        }
    }

    /// Whether a kernel command line is this machine's.
    pub fn is_ours(&self, cmdline: &str) -> bool {
        let wanted = self.nonce.as_deref().map(argument);
        wanted.is_none_or(|wanted| cmdline.split_whitespace().any(|word| word == wanted))
    }

    /// Pins the key of a machine that was found to be ours.
    pub fn pin(&self, host_key: &[u8], resets: u64) {
        let mut pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        *pin = Some(Pin {
            host_key: host_key.to_vec(),
            resets,
        });
    }
}

/// A word that no other machine has.
pub fn random_word() -> String {
    format!("{:016x}{:016x}", OsRng.next_u64(), OsRng.next_u64())
}

/// The kernel argument that carries a nonce.
pub fn argument(nonce: &str) -> String {
    format!("harness.nonce={nonce}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_good_until_the_next_reset() {
        let identity = Identity::new(Some("abc".into()));
        assert_eq!(identity.knows(b"key", 0), Known::NotYet);
        identity.pin(b"key", 0);
        assert_eq!(identity.knows(b"key", 0), Known::Yes);
        assert_eq!(identity.knows(b"other", 0), Known::No);
        assert_eq!(identity.knows(b"other", 1), Known::NotYet);
    }

    #[test]
    fn the_whole_word_counts() {
        let identity = Identity::new(Some("abc".into()));
        assert!(identity.is_ours("console=ttyS0 harness.nonce=abc\n"));
        assert!(!identity.is_ours("console=ttyS0 harness.nonce=abcd\n"));
        assert!(Identity::new(None).is_ours("anything"));
    }
}

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
    /// The words that may be on the kernel command line: the machine's own, and that of the one it
    /// goes on from. None when the firmware boots from a disk.
    nonces: Vec<String>,
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
            nonces: nonce.into_iter().collect(),
            pin: Mutex::new(None),
        }
    }

    /// Of a machine that goes on from a saved one: until it is reset it has that one's host key,
    /// and its word.
    pub fn of_fork(own: Option<String>, saved: &[String], host_key: &[u8]) -> Self {
        let fork = Self {
            nonces: own.into_iter().chain(saved.iter().cloned()).collect(),
            pin: Mutex::new(None),
        };
        fork.pin(host_key, 0);
        fork
    }

    /// The words that may be on the kernel command line.
    pub fn nonces(&self) -> &[String] {
        &self.nonces
    }

    /// The host key that is pinned.
    pub fn pinned(&self) -> Option<Vec<u8>> {
        let pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        pin.as_ref().map(|pin| pin.host_key.clone())
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
        let carries = |nonce: &String| {
            let wanted = argument(nonce);
            cmdline.split_whitespace().any(|word| word == wanted)
        };
        self.nonces.is_empty() || self.nonces.iter().any(carries)
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
    fn a_fork_is_known_by_what_it_goes_on_from() {
        let fork = Identity::of_fork(Some("own".into()), &["saved".into()], b"key");
        assert_eq!(fork.knows(b"key", 0), Known::Yes);
        assert_eq!(fork.knows(b"other", 0), Known::No);
        assert_eq!(fork.knows(b"other", 1), Known::NotYet);
        assert!(fork.is_ours("harness.nonce=own") && fork.is_ours("harness.nonce=saved"));
        assert!(!fork.is_ours("harness.nonce=other"));
    }

    #[test]
    fn the_whole_word_counts() {
        let identity = Identity::new(Some("abc".into()));
        assert!(identity.is_ours("console=ttyS0 harness.nonce=abc\n"));
        assert!(!identity.is_ours("console=ttyS0 harness.nonce=abcd\n"));
        assert!(Identity::new(None).is_ours("anything"));
    }
}

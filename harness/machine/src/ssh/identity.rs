//! Is it the machine that was started?
//!
//! Each QEMU process carries a random word: in `fw_cfg`, which a fork has of its own from its first
//! instruction, and on the kernel command line, for guests that cannot read the former; there a
//! fork has that of the machine it goes on from until it is reset. The first login reads them back
//! and pins the host key; later ones need only the key. A fork has the host key that was pinned for
//! the machine it goes on from, as other forks do; until it is reset its words need not be read where
//! the connection is seen to end in its QEMU. A machine that was reset may come back with
//! new host keys (those of one without a state disk live in memory), so a pin is good until the
//! next reset, and then the words are read again.

use std::sync::{Mutex, PoisonError};

use ssh_key::rand_core::{OsRng, RngCore as _};

/// The file of `fw_cfg` with the word; names of users begin with `opt/` and a domain (QEMU's
/// docs/specs/fw_cfg.rst).
pub const FW_CFG: &str = "opt/io.rancher.harness/nonce";
/// Before the word in an answer; nothing of a kernel command line begins with it.
const WORD: &str = "word:";

/// How a machine is told from others.
#[derive(Debug)]
pub struct Identity {
    /// The machine's own word.
    own: String,
    /// Those of the machines that it goes on from.
    inherited: Vec<String>,
    /// Whether the kernel command line is the harness's to write.
    direct: bool,
    pin: Mutex<Option<Pin>>,
}

#[derive(Debug)]
struct Pin {
    host_key: Vec<u8>,
    resets: u64,
    /// Whether the words were read back by who has this key: forks share it.
    proven: bool,
}

/// What a host key says.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// It is the pinned one.
    Yes,
    /// It is that of the machine that this one goes on from, which others may go on from, too.
    Inherited,
    /// Nothing is pinned for this boot.
    NotYet,
    /// Another one is pinned for this boot.
    No,
}

impl Identity {
    /// Nothing is pinned. `direct` is whether the word is on the kernel command line, too.
    pub fn new(own: String, direct: bool) -> Self {
        Self {
            own,
            inherited: Vec::new(),
            direct,
            pin: Mutex::new(None),
        }
    }

    /// Of a machine that goes on from a saved one: until it is reset it has that one's host key
    /// and command line.
    #[must_use]
    pub fn going_on(mut self, words: &[String], host_key: &[u8]) -> Self {
        self.inherited = words.to_vec();
        *self.pin.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(Pin {
            host_key: host_key.to_vec(),
            resets: 0,
            proven: false,
        });
        self
    }

    /// The words that may be on the kernel command line.
    pub fn words(&self) -> Vec<String> {
        let own = self.own.clone();
        [own].into_iter().chain(self.inherited.clone()).collect()
    }

    /// Of a machine that is brought back: it has the words that it had, its own first, and the host
    /// key if one was pinned for the boot it is in.
    pub fn of_kept(words: &[String], direct: bool, host_key: Option<&[u8]>) -> Self {
        let (own, inherited) = words.split_first().unzip();
        let inherited = inherited.unwrap_or_default();
        let kept = Self::new(own.cloned().unwrap_or_default(), direct);
        match host_key {
            Some(host_key) => kept.going_on(inherited, host_key),
            None => Self {
                inherited: inherited.to_vec(),
                ..kept
            },
        }
    }

    /// The host key that is pinned for the boot after so many resets.
    pub fn pinned_after(&self, resets: u64) -> Option<Vec<u8>> {
        let pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = pin.as_ref().filter(|pin| pin.resets == resets)?;
        Some(pin.host_key.clone())
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
            Some(pin) if pin.resets == resets && pin.host_key != host_key => Known::No,
            Some(pin) if pin.resets == resets && pin.proven => Known::Yes,
            Some(pin) if pin.resets == resets => Known::Inherited,
            _ => Known::NotYet,
        }
    }

    /// The command that reads the words back: the file where the guest has it, then the kernel
    /// command line. The file is for root alone until we were there, which those that go on from
    /// this machine are saved the time of: 0.2 s of an emulated one. For the same reason it is all
    /// what the shell itself knows.
    pub fn question() -> String {
        let file = format!("/sys/firmware/qemu_fw_cfg/by_name/{FW_CFG}/raw");
        format!(
            "f={file}; [ ! -e $f ] || [ -r $f ] || sudo -n chmod a+r $f; read -r word < $f; \
             echo {WORD}$word; read -r line < /proc/cmdline; echo $line"
        )
    }

    /// Whether what the question was answered with is this machine's.
    pub fn is_ours(&self, answer: &str) -> bool {
        let mut lines = answer.lines();
        let word = lines.find_map(|line| line.strip_prefix(WORD));
        let carries = |word: &String| {
            let wanted = argument(word);
            answer.split_whitespace().any(|word| word == wanted)
        };
        match word.unwrap_or_default() {
            "" => !self.direct || self.words().iter().any(carries),
            word => word == self.own,
        }
    }

    /// Pins the key of a machine that was found to be ours.
    pub fn pin(&self, host_key: &[u8], resets: u64) {
        let mut pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        *pin = Some(Pin {
            host_key: host_key.to_vec(),
            resets,
            proven: true,
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
        let identity = Identity::new("abc".into(), true);
        assert_eq!(identity.knows(b"key", 0), Known::NotYet);
        identity.pin(b"key", 0);
        assert_eq!(identity.knows(b"key", 0), Known::Yes);
        assert_eq!(identity.knows(b"other", 0), Known::No);
        assert_eq!(identity.knows(b"other", 1), Known::NotYet);
    }

    #[test]
    fn a_fork_has_the_key_of_what_it_goes_on_from_and_a_word_of_its_own() {
        let fork = Identity::new("own".into(), true).going_on(&["saved".into()], b"key");
        assert_eq!(fork.knows(b"key", 0), Known::Inherited);
        assert_eq!(fork.knows(b"other", 0), Known::No);
        assert_eq!(fork.knows(b"other", 1), Known::NotYet);
        assert!(fork.is_ours("word:own\nharness.nonce=saved"));
        assert!(!fork.is_ours("word:another\nharness.nonce=saved"));
        fork.pin(b"key", 0);
        assert_eq!(fork.knows(b"key", 0), Known::Yes);
    }

    #[test]
    fn a_guest_that_reads_no_fw_cfg_is_known_by_its_command_line() {
        let fork = Identity::new("own".into(), true).going_on(&["saved".into()], b"key");
        assert!(
            fork.is_ours("word:\nharness.nonce=own") && fork.is_ours("word:\nharness.nonce=saved")
        );
        assert!(!fork.is_ours("word:\nharness.nonce=other") && !fork.is_ours(""));
    }

    #[test]
    fn the_whole_word_counts() {
        let identity = Identity::new("abc".into(), true);
        assert!(identity.is_ours("word:\nconsole=ttyS0 harness.nonce=abc\n"));
        assert!(!identity.is_ours("word:\nconsole=ttyS0 harness.nonce=abcd\n"));
        assert!(Identity::new("abc".into(), false).is_ours("word:\nanything"));
    }
}

//! Verifies that a login reached the machine that was started.
//!
//! Each QEMU process carries a nonce in two places:
//!
//! - `fw_cfg`: a fork has its own from its first instruction.
//! - The kernel command line, for guests that cannot read `fw_cfg`: a fork has that of its checkpoint
//!   until it is reset.
//!
//! The first login reads the nonce back and pins the host key; later logins check only the key. A fork
//! has the host key that was pinned for its checkpoint, and so do other forks of it. Until a fork is
//! reset, its nonce need not be read if the connection is seen to end in its QEMU. A reset machine may
//! have new host keys (without a state disk they live in memory), so a pin is valid until the next
//! reset; then the nonce is read again.

use std::sync::{Mutex, PoisonError};

use crate::qemu::nonce::{FW_CFG, argument};

/// Precedes the nonce in an answer; no word of a kernel command line starts with it.
const NONCE_PREFIX: &str = "nonce:";

/// The identity of a machine.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The machine's own nonce.
    own: String,
    /// The nonces of the machines it was forked from.
    inherited: Vec<String>,
    /// Whether the harness sets the kernel command line.
    direct: bool,
    pin: Mutex<Option<Pin>>,
}

#[derive(Debug)]
struct Pin {
    host_key: Vec<u8>,
    resets: u64,
    /// Whether the nonce was read back on a connection with this key. Forks share the key.
    proven: bool,
}

/// The result of checking a host key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The pinned key.
    Yes,
    /// The key of the checkpoint; other forks may have it as well.
    Inherited,
    /// No key is pinned for this boot.
    NotYet,
    /// Another key is pinned for this boot.
    No,
}

impl Identity {
    /// An identity without a pin. `direct`: the nonce is on the kernel command line as well.
    pub(crate) fn new(own: String, direct: bool) -> Self {
        Self {
            own,
            inherited: Vec::new(),
            direct,
            pin: Mutex::new(None),
        }
    }

    /// The identity of a fork: until it is reset, it has the host key and the command line of its
    /// checkpoint.
    #[must_use]
    pub(crate) fn forked(mut self, nonces: &[String], host_key: &[u8]) -> Self {
        self.inherited = nonces.to_vec();
        *self.pin.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(Pin {
            host_key: host_key.to_vec(),
            resets: 0,
            proven: false,
        });
        self
    }

    /// The nonces that may be on the kernel command line.
    pub(crate) fn nonces(&self) -> Vec<String> {
        let own = self.own.clone();
        [own].into_iter().chain(self.inherited.clone()).collect()
    }

    /// The identity of a restored machine: its nonces, its own first, and the host key if one was pinned
    /// for its current boot.
    pub(crate) fn restored(nonces: &[String], direct: bool, host_key: Option<&[u8]>) -> Self {
        let (own, inherited) = nonces.split_first().unzip();
        let inherited = inherited.unwrap_or_default();
        let identity = Self::new(own.cloned().unwrap_or_default(), direct);
        match host_key {
            Some(host_key) => identity.forked(inherited, host_key),
            None => Self {
                inherited: inherited.to_vec(),
                ..identity
            },
        }
    }

    /// The host key that is pinned for the boot after `resets` resets.
    pub(crate) fn pinned_after(&self, resets: u64) -> Option<Vec<u8>> {
        let pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = pin.as_ref().filter(|pin| pin.resets == resets)?;
        Some(pin.host_key.clone())
    }

    /// The pinned host key.
    pub(crate) fn pinned(&self) -> Option<Vec<u8>> {
        let pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        pin.as_ref().map(|pin| pin.host_key.clone())
    }

    /// Checks a host key after `resets` resets.
    pub(crate) fn knows(&self, host_key: &[u8], resets: u64) -> Known {
        let pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        match &*pin {
            Some(pin) if pin.resets == resets && pin.host_key != host_key => Known::No,
            Some(pin) if pin.resets == resets && pin.proven => Known::Yes,
            Some(pin) if pin.resets == resets => Known::Inherited,
            _ => Known::NotYet,
        }
    }

    /// The command that reads the nonce back: the `fw_cfg` file if the guest has it, then the kernel
    /// command line. Initially only root can read the file; the command changes its mode, so that forks of
    /// this machine save that time (0.2 s under emulation). To save time as well, it uses only builtins of
    /// the shell.
    pub(crate) fn question() -> String {
        let file = format!("/sys/firmware/qemu_fw_cfg/by_name/{FW_CFG}/raw");
        format!(
            "f={file}; [ ! -e $f ] || [ -r $f ] || sudo -n chmod a+r $f; read -r nonce < $f; \
 echo {NONCE_PREFIX}$nonce; read -r line < /proc/cmdline; echo $line"
        )
    }

    /// Whether an answer to the question carries the nonce of this machine.
    pub(crate) fn is_ours(&self, answer: &str) -> bool {
        let mut lines = answer.lines();
        let nonce = lines.find_map(|line| line.strip_prefix(NONCE_PREFIX));
        let on_command_line = |nonce: &String| {
            let wanted = argument(nonce);
            answer.split_whitespace().any(|word| word == wanted)
        };
        match nonce.unwrap_or_default() {
            "" => !self.direct || self.nonces().iter().any(on_command_line),
            nonce => nonce == self.own,
        }
    }

    /// Pins the key of a machine whose nonce was read back.
    pub(crate) fn pin(&self, host_key: &[u8], resets: u64) {
        let mut pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        *pin = Some(Pin {
            host_key: host_key.to_vec(),
            resets,
            proven: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_is_valid_until_the_next_reset() {
        let identity = Identity::new("abc".into(), true);
        assert_eq!(identity.knows(b"key", 0), Known::NotYet);
        identity.pin(b"key", 0);
        assert_eq!(identity.knows(b"key", 0), Known::Yes);
        assert_eq!(identity.knows(b"other", 0), Known::No);
        assert_eq!(identity.knows(b"other", 1), Known::NotYet);
    }

    #[test]
    fn fork_has_the_key_of_its_checkpoint_and_a_nonce_of_its_own() {
        let fork = Identity::new("own".into(), true).forked(&["saved".into()], b"key");
        assert_eq!(fork.knows(b"key", 0), Known::Inherited);
        assert_eq!(fork.knows(b"other", 0), Known::No);
        assert_eq!(fork.knows(b"other", 1), Known::NotYet);
        assert!(fork.is_ours("nonce:own\nharness.nonce=saved"));
        assert!(!fork.is_ours("nonce:another\nharness.nonce=saved"));
        fork.pin(b"key", 0);
        assert_eq!(fork.knows(b"key", 0), Known::Yes);
    }

    #[test]
    fn guest_without_fw_cfg_is_identified_by_its_command_line() {
        let fork = Identity::new("own".into(), true).forked(&["saved".into()], b"key");
        assert!(
            fork.is_ours("nonce:\nharness.nonce=own")
                && fork.is_ours("nonce:\nharness.nonce=saved")
        );
        assert!(!fork.is_ours("nonce:\nharness.nonce=other") && !fork.is_ours(""));
    }

    #[test]
    fn nonce_is_compared_as_a_whole() {
        let identity = Identity::new("abc".into(), true);
        assert!(identity.is_ours("nonce:\nconsole=ttyS0 harness.nonce=abc\n"));
        assert!(!identity.is_ours("nonce:\nconsole=ttyS0 harness.nonce=abcd\n"));
        assert!(Identity::new("abc".into(), false).is_ours("nonce:\nanything"));
    }
}

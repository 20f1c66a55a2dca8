//! The user's terminal, raw while the guest has it.

use std::io::{IsTerminal as _, Read as _};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Raw until dropped; nothing happens where standard input is no terminal.
pub(super) struct Raw {
    before: Option<Termios>,
}

impl Raw {
    pub(super) fn new() -> Self {
        let stdin = std::io::stdin();
        let before = stdin
            .is_terminal()
            .then(|| tcgetattr(&stdin).ok())
            .flatten();
        if let Some(before) = &before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            let _ = tcsetattr(&stdin, SetArg::TCSANOW, &raw);
        }
        Self { before }
    }

    /// Whether there is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

/// What is typed.
pub(super) type Keys = mpsc::Receiver<Vec<u8>>;

/// What is typed, read by a thread: a read of a terminal cannot be given up, and the process does
/// not wait for it at its end.
pub(super) fn keys() -> Keys {
    let (send, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(n @ 1..) = std::io::stdin().read(&mut buffer) {
            if send.blocking_send(buffer[..n].to_vec()).is_err() {
                return;
            }
        }
        // At the end of a file that was piped in the machine goes on.
        std::thread::park();
    });
    keys
}

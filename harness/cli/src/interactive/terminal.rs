//! The user's terminal, in raw mode while it is connected to the guest.

use std::io::{IsTerminal as _, Read as _};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Raw mode until dropped. Does nothing if standard input is not a terminal.
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

    /// Whether standard input is a terminal.
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

/// The keyboard input.
pub(super) type Keys = mpsc::Receiver<Vec<u8>>;

/// Reads the keyboard in a thread, because a read of a terminal cannot be cancelled. The process does not
/// wait for the thread when it exits.
pub(super) fn keys() -> Keys {
    let (send, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(n @ 1..) = std::io::stdin().read(&mut buffer) {
            if send.blocking_send(buffer[..n].to_vec()).is_err() {
                return;
            }
        }
        // At the end of piped input, the machine keeps running.
        std::thread::park();
    });
    keys
}

//! Connects to a port, logs in, and verifies that the right machine answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::connection::{Connection, SshError};
use super::identity::{Identity, Known};
use super::{Login, exec};
use crate::error::MachineError;
use crate::qemu::qmp::Resets;
use base::wait::WaitError;
use host::{port, speed};

/// Timeout of the server's banner, on the reference host.
const BANNER_SECONDS: u64 = 2;
/// Timeout of reading the nonce back, on the reference host.
const PROOF_SECONDS: u64 = 20;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// The target of a connection.
#[derive(Clone)]
pub(crate) struct Target {
    /// Host port.
    pub port: u16,
    /// The identity of the machine that should answer.
    pub identity: Arc<Identity>,
    /// Number of resets of the machine.
    pub resets: Resets,
    /// The process ID of the first QEMU.
    pub qemu: u32,
}

/// Connects until it succeeds, the login is refused, or `limit` passes. Calls `given_up` between
/// attempts.
pub(super) fn connect(
    target: &Target,
    login: &Login,
    limit: Duration,
    given_up: &dyn Fn() -> bool,
) -> Result<Connection, MachineError> {
    let end = Instant::now() + limit;
    let what = format!("an SSH login as {}", login.user());
    loop {
        let last = match attempt(target, login, end) {
            Attempt::Done(connection) => return Ok(connection),
            Attempt::Final(error) => return Err(error),
            Attempt::Again(why) => why,
        };
        if Instant::now() + PAUSE >= end || given_up() {
            return Err(WaitError::deadline(&what, limit, last).into());
        }
        std::thread::sleep(PAUSE);
    }
}

enum Attempt {
    Done(Connection),
    Final(MachineError),
    Again(String),
}

impl From<SshError> for Attempt {
    fn from(error: SshError) -> Self {
        Self::Again(error.to_string())
    }
}

fn attempt(target: &Target, login: &Login, end: Instant) -> Attempt {
    // Read before connecting: if the machine is reset in between, the pin is too old, never too new.
    let resets = target.resets.load(Ordering::Relaxed);
    let mut connection = match Connection::open(target.port, speed::seconds(BANNER_SECONDS), end) {
        Ok(connection) => connection,
        Err(error) => return error.into(),
    };
    let known = target.identity.knows(&connection.host_key(), resets);
    if known == Known::No {
        let why = "its host key differs from the one pinned for this boot";
        return Attempt::Final(wrong(target, why));
    }
    match authenticate(&connection, login, end) {
        Ok(()) => connection.reached("login accepted"),
        Err(SshError::Refused) => {
            return Attempt::Final(MachineError::Refused {
                user: login.user().into(),
            });
        }
        Err(error) => return error.into(),
    }
    match known {
        // The guest has the host key of its checkpoint, and the socket ends in our QEMU. There is no need to
        // run a command: an emulated guest runs only three per second.
        Known::Inherited if port::is_accepted_by(target.qemu, connection.socket()) => {
            target.identity.pin(&connection.host_key(), resets);
            Attempt::Done(connection)
        }
        Known::Inherited | Known::NotYet => prove(target, connection, resets, end),
        Known::Yes | Known::No => Attempt::Done(connection),
    }
}

fn authenticate(connection: &Connection, login: &Login, end: Instant) -> Result<(), SshError> {
    connection.until(end, |session| match login {
        Login::Password { user, password } => session.userauth_password(user, password),
        Login::Key { user, private_key } => {
            session.userauth_pubkey_memory(user, None, private_key, None)
        }
    })
}

/// Reads the machine's nonce back and pins the host key.
fn prove(target: &Target, connection: Connection, resets: u64, end: Instant) -> Attempt {
    let limit = speed::seconds(PROOF_SECONDS).min(end.saturating_duration_since(Instant::now()));
    let end = Instant::now() + limit;
    let output = match exec::run(&connection, &Identity::question(), limit, end) {
        Err(error) => return Attempt::Again(error.to_string()),
        Ok(output) => output,
    };
    let answer = String::from_utf8_lossy(&output.stdout);
    if !target.identity.is_ours(&answer) {
        let why = "it has a different nonce";
        return Attempt::Final(wrong(target, why));
    }
    target.identity.pin(&connection.host_key(), resets);
    Attempt::Done(connection)
}

fn wrong(target: &Target, why: &str) -> MachineError {
    MachineError::WrongMachine {
        port: target.port,
        why: why.into(),
    }
}

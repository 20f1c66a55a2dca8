//! SSH into the machine. Each connection has a thread of its own, because a session of libssh2 must
//! not be used by two at a time; callers wait for its answers without blocking. It runs commands, and
//! forwards sockets.

mod connect;
mod connection;
mod exec;
pub(super) mod identity;
mod login;
mod serve;

use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub(super) use connect::Target;
use connection::Rung;
pub(super) use connection::{Connection, Trouble};
pub(super) use identity::{Identity, random_word};
pub use login::{KeyPair, Login};

use super::MachineError;
use super::forward::Forwarding;
use base::shell;
use connect::connect;
use exec::Command;
use host::speed;

/// For a transfer of which nobody said how long it may take, on the reference host.
const TRANSFER_SECONDS: u64 = 120;

/// A command's end.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Exit status; none when a signal ended it.
    pub exit: Option<i32>,
    /// Name of the signal that ended it.
    pub signal: Option<String>,
    /// Standard output, bytes as they came.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// When the first of either came, where that is known.
    pub began: Option<Instant>,
}

/// An SSH connection.
#[derive(Clone)]
pub struct Ssh {
    jobs: mpsc::Sender<Job>,
    /// A byte in it wakes the thread; its end, when the last handle is gone, ends it.
    bell: Arc<UnixStream>,
    login: Login,
    rungs: Vec<Rung>,
}

/// What the connection's thread is asked for.
enum Job {
    Run(Command, oneshot::Sender<Result<Output, MachineError>>),
    Forward(Forwarding),
}

impl Ssh {
    /// Logs in, in a thread that then serves the connection.
    pub(super) async fn open(
        target: Target,
        login: Login,
        limit: Duration,
    ) -> Result<Self, MachineError> {
        let (jobs, work) = mpsc::channel();
        let (bell, woken) = serve::bell().map_err(|e| MachineError::Ssh(e.to_string()))?;
        let (opened, answer) = oneshot::channel();
        let theirs = login.clone();
        let thread = std::thread::Builder::new()
            .name("ssh".into())
            .spawn(move || {
                let connected = connect(&target, &theirs, limit, &|| opened.is_closed());
                match connected {
                    Err(error) => drop(opened.send(Err(error))),
                    Ok(connection) => {
                        let _ = opened.send(Ok(connection.rungs().to_vec()));
                        serve::serve(&connection, &work, woken);
                    }
                }
            });
        thread.map_err(|e| MachineError::Ssh(e.to_string()))?;
        let rungs = answer.await.map_err(|_| gone())??;
        Ok(Self {
            jobs,
            bell: Arc::new(bell),
            login,
            rungs,
        })
    }

    /// What was reached on the way to this connection, in order, and when.
    pub fn rungs(&self) -> &[(&'static str, Instant)] {
        &self.rungs
    }

    /// How it logged in.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// Runs a command line by the login shell; the caller judges the exit. Its standard input is
    /// empty. Commands of one connection run one after another.
    ///
    /// # Errors
    /// The connection broke or the deadline passed (with what was printed so far).
    pub async fn run(&self, command: &str, limit: Duration) -> Result<Output, MachineError> {
        self.run_with_input(command, vec![], limit).await
    }

    async fn run_with_input(
        &self,
        command: &str,
        stdin: Vec<u8>,
        limit: Duration,
    ) -> Result<Output, MachineError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::new(command.into(), stdin, limit, Instant::now() + limit);
        self.ask(Job::Run(command, reply))?;
        answer.await.map_err(|_| gone())?
    }

    /// Has a socket of this host forwarded for as long as the connection and the socket's handle
    /// last.
    pub(super) fn forward(&self, forwarding: Forwarding) -> Result<(), MachineError> {
        self.ask(Job::Forward(forwarding))
    }

    fn ask(&self, job: Job) -> Result<(), MachineError> {
        self.jobs.send(job).map_err(|_| gone())?;
        serve::ring(&self.bell);
        Ok(())
    }

    /// Sends a file. It appears whole or not at all.
    ///
    /// # Errors
    /// The connection broke or the guest refused.
    pub async fn upload(&self, content: &[u8], to: &str, mode: u32) -> Result<(), MachineError> {
        let script = exec::upload_script(to, mode, content.len());
        let command = format!("sh -c {}", shell::quote(&script));
        let output = self
            .run_with_input(&command, content.to_vec(), transfer_limit())
            .await?;
        done(&format!("upload to {to}"), output).map(drop)
    }

    /// Fetches a file.
    ///
    /// # Errors
    /// The connection broke or there is no such file.
    pub async fn download(&self, from: &str) -> Result<Vec<u8>, MachineError> {
        let command = format!("cat -- {}", shell::quote(from));
        let output = self.run(&command, transfer_limit()).await?;
        done(&format!("download of {from}"), output)
    }
}

fn transfer_limit() -> Duration {
    speed::seconds(TRANSFER_SECONDS)
}

fn gone() -> MachineError {
    MachineError::Ssh("the connection is closed".into())
}

fn done(what: &str, output: Output) -> Result<Vec<u8>, MachineError> {
    match output.exit {
        Some(0) => Ok(output.stdout),
        _ => Err(MachineError::Ssh(format!(
            "{what} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

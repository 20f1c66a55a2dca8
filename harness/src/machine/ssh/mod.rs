//! SSH into the machine. Each connection has a thread of its own, because libssh2 blocks and a
//! session must not be used by two at a time; callers wait for its answers without blocking.

mod connect;
mod connection;
mod exec;
pub(super) mod identity;
mod login;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub(super) use connect::{Target, connect};
use connection::Rung;
pub(super) use connection::{Connection, Trouble};
pub(super) use identity::{Identity, random_word};
pub use login::{KeyPair, Login};

use super::{MachineError, shell};
use crate::host::scale;

/// For a transfer of which nobody said how long it may take, on the reference host.
const TRANSFER_SECONDS: u64 = 120;

/// A command's end.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit status; none when a signal ended it.
    pub exit: Option<i32>,
    /// Name of the signal that ended it.
    pub signal: Option<String>,
    /// Standard output, bytes as they came.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// An SSH connection.
#[derive(Clone)]
pub struct Ssh {
    jobs: mpsc::Sender<Job>,
    login: Login,
    rungs: Vec<Rung>,
}

/// A command for the connection's thread.
struct Job {
    command: String,
    stdin: Vec<u8>,
    limit: Duration,
    end: Instant,
    reply: oneshot::Sender<Result<Output, MachineError>>,
}

impl Ssh {
    /// Logs in, in a thread that then serves the connection.
    pub(super) async fn open(
        target: Target,
        login: Login,
        limit: Duration,
    ) -> Result<Self, MachineError> {
        let (jobs, work) = mpsc::channel();
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
                        serve(&connection, &work);
                    }
                }
            });
        thread.map_err(|e| MachineError::Ssh(e.to_string()))?;
        let rungs = answer.await.map_err(|_| gone())??;
        Ok(Self { jobs, login, rungs })
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
        let end = Instant::now() + limit;
        let job = Job {
            command: command.into(),
            stdin,
            limit,
            end,
            reply,
        };
        self.jobs.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
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
    scale::seconds(TRANSFER_SECONDS)
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

/// Until the last handle is gone. Nobody waits for a job whose handle is.
fn serve(connection: &Connection, work: &mpsc::Receiver<Job>) {
    for job in work {
        if !job.reply.is_closed() {
            let output = exec::run(connection, &job.command, &job.stdin, job.limit, job.end);
            let _ = job.reply.send(output);
        }
    }
}

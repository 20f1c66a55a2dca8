//! One SSH connection to the guest, driven by a thread of its own.

use crate::output::Output;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::connect::{Target, connect};
use super::connection::Stage;
use super::exec::{self, Command};
use super::login::Login;
use super::serve;

use crate::error::{FailureWatch, MachineError, until_fatal};
use crate::ssh::forward::Forwarding;
use base::shell;
use host::speed;

/// Timeout of a file transfer, on the reference host.
const TRANSFER_SECONDS: u64 = 120;

/// An SSH connection.
#[derive(Clone)]
pub struct Ssh {
    jobs: mpsc::Sender<Job>,
    /// A byte written to it wakes the thread. The thread ends when the last handle closes it.
    waker: Arc<UnixStream>,
    login: Login,
    stages: Vec<Stage>,
    failure: FailureWatch,
}

/// A request to the connection's thread.
pub(super) enum Job {
    Run(Command, oneshot::Sender<Result<Output, MachineError>>),
    Forward(Forwarding),
}

impl Ssh {
    /// Logs in, in a thread that then serves the connection.
    pub(crate) async fn open(
        target: Target,
        login: Login,
        limit: Duration,
        failure: FailureWatch,
    ) -> Result<Self, MachineError> {
        let (jobs, work) = mpsc::channel();
        let (waker, woken) = serve::waker().map_err(|e| MachineError::Ssh(e.to_string()))?;
        let (opened, answer) = oneshot::channel();
        let theirs = login.clone();
        let thread = std::thread::Builder::new()
            .name("ssh".into())
            .spawn(move || {
                let connected = connect(&target, &theirs, limit, &|| opened.is_closed());
                match connected {
                    Err(error) => drop(opened.send(Err(error))),
                    Ok(connection) => {
                        let _ = opened.send(Ok(connection.stages().to_vec()));
                        serve::serve(&connection, &work, woken);
                    }
                }
            });
        thread.map_err(|e| MachineError::Ssh(e.to_string()))?;
        let stages = answer.await.map_err(|_| closed())??;
        Ok(Self {
            jobs,
            waker: Arc::new(waker),
            login,
            stages,
            failure,
        })
    }

    /// Stages of the way to this connection, in order, with timestamps.
    pub fn stages(&self) -> &[(&'static str, Instant)] {
        &self.stages
    }

    /// The login of this connection.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// Runs a command line in the login shell; the caller checks the exit status. Standard input is
    /// empty. The commands of one connection run one after another.
    ///
    /// # Errors
    /// The connection broke, the deadline passed (with the output so far), or the guest panicked or QEMU exited.
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
        let answer = async { answer.await.map_err(|_| closed())? };
        until_fatal(&self.failure, answer).await
    }

    /// Forwards a socket of this host for as long as the connection and the socket's handle exist.
    pub(crate) fn forward(&self, forwarding: Forwarding) -> Result<(), MachineError> {
        self.ask(Job::Forward(forwarding))
    }

    fn ask(&self, job: Job) -> Result<(), MachineError> {
        self.jobs.send(job).map_err(|_| closed())?;
        serve::wake(&self.waker);
        Ok(())
    }

    /// Uploads a file atomically.
    ///
    /// # Errors
    /// The connection broke, or the guest refused the file.
    pub async fn upload(&self, content: &[u8], to: &str, mode: u32) -> Result<(), MachineError> {
        let script = exec::upload_script(to, mode, content.len());
        let command = format!("sh -c {}", shell::quote(&script));
        let output = self
            .run_with_input(&command, content.to_vec(), transfer_limit())
            .await?;
        done(&format!("upload to {to}"), output).map(drop)
    }

    /// Downloads a file.
    ///
    /// # Errors
    /// The connection broke, or the file does not exist.
    pub async fn download(&self, from: &str) -> Result<Vec<u8>, MachineError> {
        let command = format!("cat -- {}", shell::quote(from));
        let output = self.run(&command, transfer_limit()).await?;
        done(&format!("download of {from}"), output)
    }
}

fn transfer_limit() -> Duration {
    speed::seconds(TRANSFER_SECONDS)
}

fn closed() -> MachineError {
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

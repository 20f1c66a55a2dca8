//! The machine that is forked, and cold boots of the same machine.

use std::time::Instant;

use tempfile::TempDir;

use host::speed;
use machine::{Checkpoint, Engine, Machine, MachineError, Ssh};

use crate::common::Result;
use crate::common::bench::{Bench, boot_limit, close};

/// How long the guest may take to become idle before it is saved, on the reference host.
const REST_SECONDS: u64 = 10;
/// The timeout of a command, on the reference host.
const COMMAND_SECONDS: u64 = 60;
/// The first command.
const COMMAND: &str = "echo ready";

/// A checkpoint of the machine, created for this run.
pub(crate) struct Parent {
    /// The saved machine.
    pub saved: Checkpoint,
    folder: TempDir,
}

impl Parent {
    /// Its folder.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Bench {
    /// Boots the machine the given number of times, and returns the seconds until the first command's output.
    pub(crate) async fn cold_boots(&self, boots: u16) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        for number in 1..=boots {
            let evidence = self.evidence()?;
            let begin = Instant::now();
            let machine = Machine::start(self.spec.clone(), evidence.logs()).await?;
            let done = machine.fail_fast(self.first_command(&machine)).await;
            machine.stop().await;
            let (_, output) = close(&evidence, done)?;
            times.push((output - begin).as_secs_f64());
            eprintln!("cold boot {number} of {boots}: {:.1} s", last(&times));
        }
        Ok(times)
    }

    /// Boots the machine again, and saves it when both Docker engines answer.
    pub(crate) async fn parent(&self) -> Result<Parent> {
        eprintln!("creating the checkpoint");
        let bench = self.project.root().join("target/bench");
        std::fs::create_dir_all(&bench)?;
        let folder = tempfile::Builder::new()
            .prefix("checkpoint-")
            .tempdir_in(bench)?;
        let evidence = self.evidence()?;
        let machine =
            Machine::start_savable(self.spec.clone(), folder.path(), evidence.logs()).await?;
        let ready = machine.fail_fast(self.ready(&machine)).await;
        let saved = match ready {
            Ok(()) => {
                machine.settle(speed::seconds(REST_SECONDS)).await;
                machine.save(folder.path()).await
            }
            Err(error) => Err(error),
        };
        close(&evidence, saved)?;
        let saved = Checkpoint::open(folder.path())?;
        Ok(Parent { saved, folder })
    }

    async fn ready(&self, machine: &Machine) -> std::result::Result<(), MachineError> {
        machine.wait_ready(boot_limit()).await?;
        let (ssh, _) = self.first_command(machine).await?;
        for engine in [Engine::System, Engine::User] {
            let docker = machine.docker(&ssh, engine).await?;
            let answered = docker.ping().await;
            answered.map_err(|error| MachineError::Other(format!("{engine:?}: {error}")))?;
        }
        Ok(())
    }

    /// Logs in, runs the first command, and returns the time of its output.
    pub(crate) async fn first_command(
        &self,
        machine: &Machine,
    ) -> std::result::Result<(Ssh, Instant), MachineError> {
        let ssh = self.log_in(machine).await?;
        let output = ssh.run(COMMAND, speed::seconds(COMMAND_SECONDS)).await?;
        match output.began {
            Some(began) if output.stdout == b"ready\n" => Ok((ssh, began)),
            _ => Err(MachineError::Other(format!(
                "unexpected result of `{COMMAND}`: {output:?}"
            ))),
        }
    }
}

fn last(times: &[f64]) -> f64 {
    times.last().copied().unwrap_or(f64::NAN)
}

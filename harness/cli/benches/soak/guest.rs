//! The machine with a state disk that is booted repeatedly.

use std::time::Duration;

use host::speed;
use machine::{Blank, Disk, Machine, MachineError, MachineSpec, Ssh};
use runner::evidence::Evidence;

use crate::common::Result;
use crate::common::bench::{self, Bench, boot_limit};

/// The timeout of a command, on the reference host.
const COMMAND_SECONDS: u64 = 120;
/// The size of the state disk in MiB.
const STATE_MIB: u64 = 2048;
/// The command that creates an image for the user's containers.
const IMAGE: &str = "tar -cC / bin/busybox | docker import - busybox";

/// A machine and its login.
pub(crate) struct Guest {
    pub machine: Machine,
    bench: Bench,
    pub evidence: Evidence,
}

impl Guest {
    /// Boots the machine for the first time with these lines in its cloud-config, and creates the user's image.
    pub(crate) async fn start(cloud_config: &str) -> Result<Self> {
        let bench = Bench::prepare("soak")?;
        let user_data = bench.spec.user_data.clone().unwrap_or_default();
        let spec = MachineSpec {
            disks: vec![Disk::Blank(Blank {
                mib: STATE_MIB,
                label: Some("RANCHER_STATE".into()),
                ..Blank::default()
            })],
            write_cache: true,
            user_data: Some(user_data + cloud_config),
            ..bench.spec.clone()
        };
        let evidence = bench.evidence()?;
        let machine = Machine::start(spec, evidence.logs()).await?;
        let guest = Self {
            machine,
            bench,
            evidence,
        };
        guest.ready().await?.ask(IMAGE).await?;
        Ok(guest)
    }

    /// Waits until the machine is ready, and logs in.
    pub(crate) async fn ready(&self) -> Result<Line> {
        let login = async {
            self.machine.wait_ready(boot_limit()).await?;
            self.bench.log_in(&self.machine).await
        };
        match self.machine.fail_fast(login).await {
            Ok(ssh) => Ok(Line { ssh }),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Opens another login.
    pub(crate) async fn line(&self) -> Result<Line> {
        let ssh = self.bench.log_in(&self.machine).await?;
        Ok(Line { ssh })
    }

    /// Cuts the power and starts the machine again. Also returns how many sectors the disks lost.
    pub(crate) async fn cut(self, seed: u64) -> Result<(Self, usize)> {
        let (machine, lost) = self.machine.power_cut(seed).await?;
        let lost = lost.iter().map(|(_, loss)| loss.lost).sum();
        Ok((Self { machine, ..self }, lost))
    }

    /// An error with the path of the evidence.
    pub(crate) fn failed(&self, why: impl std::fmt::Display) -> Box<dyn std::error::Error> {
        bench::failed(&self.evidence, why)
    }

    /// Stops the machine after a success and removes the evidence.
    pub(crate) async fn end(self) -> Result<()> {
        self.machine.stop().await;
        Ok(std::fs::remove_dir_all(self.evidence.folder())?)
    }
}

/// An SSH login.
#[derive(Clone)]
pub(crate) struct Line {
    ssh: Ssh,
}

impl Line {
    /// The output of a command that must succeed.
    pub(crate) async fn ask(&self, command: &str) -> std::result::Result<String, MachineError> {
        let limit: Duration = speed::seconds(COMMAND_SECONDS);
        let output = self.ssh.run(command, limit).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.exit {
            Some(0) => Ok(text(&output.stdout)),
            _ => Err(MachineError::Other(format!(
                "`{command}` ended with {:?}\n{}{}",
                output.exit,
                text(&output.stdout),
                text(&output.stderr)
            ))),
        }
    }
}

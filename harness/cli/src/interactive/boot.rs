//! The machine of `harness run`, started.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::cloud_config::{merge, public_keys};
use super::state::{Claim, StateFolder};
use super::{RunOptions, other};
use host::speed;
use machine::{Disk, Machine, MachineError, MachineSpec};
use runner::evidence::Evidence;

/// The password of a machine for somebody without keys.
const PASSWORD: &str = "rancher.password=rancher";
/// For a boot, on the reference host.
const BOOT_SECONDS: u64 = 180;
/// For a guest to power off, on the reference host.
const POWER_OFF_SECONDS: u64 = 15;

/// A running machine, and the claim on its folder.
pub(super) struct Booting {
    pub(super) machine: Arc<Machine>,
    pub(super) evidence: Evidence,
    /// How to log in, for people.
    pub(super) login: String,
    pub(super) kind: Kind,
    /// What it said before, on its serial line.
    pub(super) before: String,
    /// What must stay as long as it runs.
    #[allow(dead_code, reason = "held until the machine is gone")]
    pub(super) held: Option<Box<dyn Any + Send>>,
    #[allow(dead_code, reason = "held until the machine is gone")]
    pub(super) claim: Claim,
}

/// Where the machine comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It boots, and is powered off in the end.
    Boots,
    /// A trial's: it is up, and nobody wants it afterwards.
    Entered {
        /// It stands still.
        paused: bool,
    },
}

/// Starts it; does not wait for the guest.
pub(super) async fn start(options: &RunOptions) -> Result<Booting, MachineError> {
    let state = StateFolder::new(&options.state_folder);
    let claim = state.claim()?;
    let (spec, login) = spec(options, &state)?;
    let evidence = state.evidence("run")?;
    let machine = Machine::start(spec, evidence.logs()).await?;
    claim.tell(Some(machine.ssh_port())).map_err(other)?;
    Ok(Booting {
        machine: machine.into(),
        evidence,
        login,
        kind: Kind::Boots,
        before: String::new(),
        held: None,
        claim,
    })
}

fn spec(options: &RunOptions, state: &StateFolder) -> Result<(MachineSpec, String), MachineError> {
    let given = options.cloud_config.as_ref().map(|file| {
        std::fs::read_to_string(file).map_err(|e| other(format!("{}: {e}", file.display())))
    });
    let user_data = merge(given.transpose()?.as_deref(), &public_keys()).map_err(|why| {
        let file = options
            .cloud_config
            .as_deref()
            .unwrap_or(std::path::Path::new("cloud-config"));
        other(format!("{}: {why}", file.display()))
    })?;
    let mut kernel_args = options.append.clone();
    let password = kernel_args
        .iter()
        .any(|arg| arg.contains("rancher.password="));
    if !user_data.has_keys && !password {
        kernel_args.push(PASSWORD.into());
    }
    let with = if user_data.has_keys {
        "with your key"
    } else {
        "with the password `rancher`"
    };
    let with = if password {
        "with the password that you gave"
    } else {
        with
    };
    let login = format!("ssh -p {} rancher@localhost, {with}", options.port);
    let (kernel, initrd) = (&options.artifacts.kernel, &options.artifacts.initrd);
    let spec = MachineSpec {
        kernel_args,
        memory: options.memory,
        disks: vec![Disk::Kept(state.disk(options.fresh)?)],
        user_data: user_data.text,
        ssh_port: Some(options.port),
        outside: true,
        ..MachineSpec::new(options.profile.clone(), kernel, Some(initrd))
    };
    Ok((spec, login))
}

impl Booting {
    /// Waits until it is ready; a bad line or the end of QEMU ends the wait.
    pub(super) async fn ready(&self) -> Result<(), MachineError> {
        if self.kind != Kind::Boots {
            return Ok(());
        }
        let limit = speed::seconds(BOOT_SECONDS);
        self.machine.fail_fast(self.machine.wait_ready(limit)).await
    }

    /// Lets the guest power off, and ends it when it does not.
    pub(super) async fn power_off(self) {
        let limit: Duration = speed::seconds(POWER_OFF_SECONDS);
        if self.kind == Kind::Boots && self.machine.power_off(limit).await.is_err() {
            eprintln!(
                "the guest did not power off within {} s; its power is cut",
                limit.as_secs()
            );
        }
        self.machine.stop().await;
    }
}

/// The longest that [`Booting::power_off`] takes, and a little more.
pub(super) fn power_off_limit() -> Duration {
    speed::seconds(POWER_OFF_SECONDS + 10)
}

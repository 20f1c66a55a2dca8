//! Starts the machine of `harness run`.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::cloud_config::{merge, public_keys};
use super::state::{Claim, StateFolder};
use super::{RunOptions, other};
use host::speed;
use machine::{Disk, Machine, MachineError, MachineSpec, RANCHEROS};
use runner::evidence::Evidence;

/// The timeout of a boot, on the reference host.
const BOOT_SECONDS: u64 = 180;
/// The timeout of a guest's power-off, on the reference host.
const POWER_OFF_SECONDS: u64 = 15;

/// A started machine and the claim on its state folder.
pub(super) struct Booting {
    pub(super) machine: Arc<Machine>,
    pub(super) evidence: Evidence,
    /// How to log in, for the user.
    pub(super) login: String,
    pub(super) kind: Kind,
    /// Earlier output of its serial console.
    pub(super) before: String,
    /// Resources that must live as long as the machine.
    #[allow(dead_code, reason = "held until the machine exits")]
    pub(super) held: Option<Box<dyn Any + Send>>,
    #[allow(dead_code, reason = "held until the machine exits")]
    pub(super) claim: Claim,
}

/// The origin of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It boots, and is powered off at the end.
    Boots,
    /// The machine of a trial: it has booted already, and is discarded at the end.
    Entered {
        /// Whether it is paused.
        paused: bool,
    },
}

/// Starts the machine without waiting for the guest.
pub(super) async fn start(options: &RunOptions) -> Result<Booting, MachineError> {
    let state = StateFolder::new(&options.state_folder);
    let claim = state.claim()?;
    let (spec, login) = spec(options, &state)?;
    let evidence = state.evidence("run")?;
    let machine = Machine::start(spec, evidence.logs()).await?;
    claim.record(Some(machine.ssh_port())).map_err(other)?;
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
        .any(|arg| arg.contains(RANCHEROS.password_argument));
    if !user_data.has_keys && !password {
        kernel_args.push(format!("{}{}", RANCHEROS.password_argument, RANCHEROS.user));
    }
    let user = RANCHEROS.user;
    let method = if password {
        "with the given password".to_owned()
    } else if user_data.has_keys {
        "with your key".to_owned()
    } else {
        // The machine listens on this host only.
        format!("with the password `{user}`")
    };
    let login = format!("ssh -p {} {user}@localhost, {method}", options.port);
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
    /// Waits until the machine is ready. A guest failure or the exit of QEMU fails the wait.
    pub(super) async fn ready(&self) -> Result<(), MachineError> {
        if self.kind != Kind::Boots {
            return Ok(());
        }
        let limit = speed::seconds(BOOT_SECONDS);
        self.machine.fail_fast(self.machine.wait_ready(limit)).await
    }

    /// Asks the guest to power off, and cuts the power if it does not.
    pub(super) async fn power_off(self) {
        let limit: Duration = speed::seconds(POWER_OFF_SECONDS);
        if self.kind == Kind::Boots && self.machine.power_off(limit).await.is_err() {
            eprintln!(
                "the guest did not power off within {} s; cutting the power",
                limit.as_secs()
            );
        }
        self.machine.stop().await;
    }
}

/// An upper bound of the duration of [`Booting::power_off`].
pub(super) fn power_off_limit() -> Duration {
    speed::seconds(POWER_OFF_SECONDS + 10)
}

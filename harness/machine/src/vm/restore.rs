//! Restores a failure snapshot.

use std::path::Path;

use serde_json::Value;

use super::machine::Machine;
use super::start::StartMode;
use crate::error::MachineError;
use crate::log_dir::LogDir;
use crate::network::link::Link;
use crate::services::Names;
use crate::snapshot::failure::{FailureSnapshot, STATE};
use crate::spec::MachineSpec;

/// How a failure snapshot is restored.
#[derive(Debug, Clone)]
pub struct RestoreOptions<'a> {
    /// The kernel that a later reboot boots.
    pub kernel: &'a Path,
    /// The initrd that a later reboot boots.
    pub initrd: Option<&'a Path>,
    /// Whether the guest does not run until QEMU receives `cont`.
    pub paused: bool,
    /// The networks that its links to other machines lead to, in their order. A link without one leads to an
    /// empty network.
    pub links: Vec<Link>,
    /// Names of other machines, which the name server of the first network knows.
    pub names: Names,
}

impl<'a> RestoreOptions<'a> {
    /// A machine that runs, alone.
    pub fn new(kernel: &'a Path, initrd: Option<&'a Path>) -> Self {
        Self {
            kernel,
            initrd,
            paused: false,
            links: Vec::new(),
            names: Names::default(),
        }
    }
}

impl Machine {
    /// Restores a failure snapshot: a new machine that continues where the other one stood, on another
    /// port.
    ///
    /// # Errors
    /// As for [`Machine::start`]; another QEMU version made the snapshot; the snapshot is damaged.
    pub async fn restore(
        snapshot: &FailureSnapshot,
        options: RestoreOptions<'_>,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        let spec = MachineSpec {
            links: options.links,
            names: options.names,
            ..snapshot.spec(options.kernel, options.initrd)?
        };
        let machine = Self::start_in(spec, StartMode::Restore(snapshot), logs).await?;
        machine
            .replug(&snapshot.about.plugged, &snapshot.folder)
            .await?;
        let qmp = &machine.current_qmp();
        let (read, loaded) = snapshot.load(qmp, &machine.vm.resources.folder).await?;
        if let Err(error) = read {
            let file = snapshot.folder.join(STATE);
            let why = format!("cannot read {}: {error}", file.display());
            return Err(MachineError::Other(why));
        }
        // If QEMU rejected the state, its log says why.
        machine.fail_fast(async { loaded }).await?;
        if !options.paused {
            qmp.execute("cont", Value::Null).await?;
        }
        Ok(machine)
    }
}

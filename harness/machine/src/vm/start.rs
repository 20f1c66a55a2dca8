//! How a machine starts: from power-on, from a checkpoint, or from a failure snapshot.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use super::link::attach_all;
use super::machine::Machine;
use super::monitor::Monitor;
use super::prepare;
use super::process::QmpSetting;
use super::vm::{Resources, Vm};
use crate::console::scan::Rules;
use crate::console::serial::Serial;
use crate::error::MachineError;
use crate::guest::boot_events::Events;
use crate::lines::Lines;
use crate::log_dir::LogDir;
use crate::profile::Network;
use crate::qemu::nonce::random_nonce;
use crate::qemu::plan::Plan;
use crate::services::registry::Registry;
use crate::snapshot::checkpoint::Checkpoint;
use crate::snapshot::failure::FailureSnapshot;
use crate::spec::MachineSpec;
use crate::ssh::{Identity, Target};
use base::private_dir::PrivateFolder;
use host::port;

/// Where a machine starts.
pub(super) enum StartMode<'a> {
    /// At power-on.
    ColdBoot,
    /// At power-on, with the guest's memory in this folder; a checkpoint can be made there.
    ColdBootForCheckpoint(&'a Path),
    /// Where a checkpoint was made.
    Fork(&'a Checkpoint),
    /// Where a checkpoint was made, on copies in this folder; the next checkpoint can be made there.
    ForkForCheckpoint(&'a Checkpoint, &'a Path),
    /// Where a machine stood when its trial failed.
    Restore(&'a FailureSnapshot),
}

impl<'a> StartMode<'a> {
    /// The checkpoint that the machine starts from.
    pub(super) fn checkpoint(&self) -> Option<&'a Checkpoint> {
        match self {
            Self::Fork(checkpoint) | Self::ForkForCheckpoint(checkpoint, _) => Some(checkpoint),
            Self::ColdBoot | Self::ColdBootForCheckpoint(_) | Self::Restore(_) => None,
        }
    }

    /// The folder where a checkpoint can be made.
    pub(super) fn checkpoint_dir(&self) -> Option<&'a Path> {
        match self {
            Self::ColdBootForCheckpoint(folder) | Self::ForkForCheckpoint(_, folder) => {
                Some(folder)
            }
            Self::ColdBoot | Self::Fork(_) | Self::Restore(_) => None,
        }
    }

    /// The nonce of the machine: a new one, or that of the restored machine.
    fn nonce(&self) -> String {
        match self {
            Self::Restore(snapshot) => snapshot.nonce(),
            _ => random_nonce(),
        }
    }

    fn identity(&self, nonce: String, plan: &Plan) -> Identity {
        let identity = Identity::new(nonce, plan.direct.is_some());
        match (self, self.checkpoint()) {
            (Self::Restore(snapshot), _) => snapshot.identity(),
            (_, Some(checkpoint)) => identity.forked(checkpoint.nonces(), checkpoint.host_key()),
            (_, None) => identity,
        }
    }
}

impl Machine {
    /// Starts QEMU. Does not wait for the guest.
    ///
    /// # Errors
    /// QEMU cannot be started; a port or file is in use (the message names the owner of a port).
    pub async fn start(spec: MachineSpec, logs: &LogDir) -> Result<Self, MachineError> {
        Self::start_in(spec, StartMode::ColdBoot, logs).await
    }

    /// Starts QEMU with the guest's memory in `folder`, where [`Machine::save`] can make a checkpoint.
    ///
    /// # Errors
    /// As for [`Machine::start`].
    pub async fn start_savable(
        spec: MachineSpec,
        folder: &Path,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        Self::start_in(spec, StartMode::ColdBootForCheckpoint(folder), logs).await
    }

    /// Starts a machine from a checkpoint. `spec` is the specification of the checkpoint's machine; disks
    /// and user data come from the checkpoint. The guest's clock shows the time of the checkpoint. Links that
    /// the checkpoint's machine did not have are plugged in.
    ///
    /// # Errors
    /// As for [`Machine::start`]; this QEMU cannot read the checkpoint.
    pub async fn fork(
        spec: MachineSpec,
        checkpoint: &Checkpoint,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        Self::fork_in(spec, checkpoint, StartMode::Fork(checkpoint), logs).await
    }

    /// Forks on copies in `folder`, where [`Machine::save`] can make the next checkpoint.
    ///
    /// # Errors
    /// As for [`Machine::fork`]; the disk space does not suffice for the copies.
    pub async fn fork_savable(
        spec: MachineSpec,
        checkpoint: &Checkpoint,
        folder: &Path,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        let mode = StartMode::ForkForCheckpoint(checkpoint, folder);
        Self::fork_in(spec, checkpoint, mode, logs).await
    }

    async fn fork_in(
        spec: MachineSpec,
        checkpoint: &Checkpoint,
        mode: StartMode<'_>,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        let machine = Self::start_in(spec, mode, logs).await?;
        let links = &machine.vm.resources.spec.links;
        let (saved, new) = links.split_at(checkpoint.links().min(links.len()));
        // QEMU accepts a state only if all devices exist already.
        for link in saved {
            machine.plug_link(link.attach()?).await?;
        }
        machine
            .fail_fast(checkpoint.resume(&machine.current_qmp()))
            .await?;
        for (number, link) in new.iter().enumerate() {
            let id = machine.plug_link(link.attach()?).await?;
            // Two cards at once can get their names in any order.
            if number + 1 < new.len() {
                machine.fail_fast(machine.card_found(&id)).await?;
            }
        }
        Ok(machine)
    }

    pub(super) async fn start_in(
        spec: MachineSpec,
        mode: StartMode<'_>,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        let start = |error: std::io::Error| MachineError::Start(error.to_string());
        prepare::check(&spec).map_err(MachineError::Start)?;
        let folder = match mode.checkpoint_dir() {
            // On the file system of the checkpoint: the disks are renamed into it.
            Some(folder) => PrivateFolder::new_in(&folder.join("machine")),
            None => PrivateFolder::new(),
        };
        let folder = folder.map_err(start)?;
        let nonce = mode.nonce();
        let port = (spec.profile.profile.network == Network::User)
            .then(|| port::ReservedPort::new(spec.ssh_port.unwrap_or(0)).map(Arc::new));
        let port = port.transpose().map_err(MachineError::Start)?;
        let plan = prepare::prepare(&spec, &mode, &nonce, port.as_deref(), &folder, logs)?;
        let identity = mode.identity(nonce, &plan);
        let registry = match &spec.registry {
            Some(registry) => {
                let log = logs.append("registry.log").map_err(start)?;
                Some(Registry::start(registry, &folder, log).await?)
            }
            None => None,
        };
        // A restored machine is alone; a fork is attached when it runs.
        let (settings, links) = match mode {
            StartMode::ColdBoot | StartMode::ColdBootForCheckpoint(_) => {
                attach_all(&spec.links, spec.profile.profile.machine)?
            }
            _ => Default::default(),
        };
        let resources = Resources {
            spec,
            logs: logs.clone(),
            _port: port,
            _registry: registry.map(Arc::new),
            folder: Arc::new(folder),
            links,
        };
        let history = History {
            reported_boot: mode.checkpoint().is_some_and(Checkpoint::reported_boot),
            earlier_boots: 0,
        };
        let machine = Self::launch(resources, plan, settings, identity, history).await?;
        machine.serve_names().await?;
        Ok(machine)
    }

    /// Starts QEMU and the tasks that read its lines.
    pub(super) async fn launch(
        resources: Resources,
        plan: Plan,
        settings: Vec<QmpSetting>,
        identity: Identity,
        history: History,
    ) -> Result<Self, MachineError> {
        let start = |error: std::io::Error| MachineError::Start(error.to_string());
        let logs = resources.logs.clone();
        let log = |name: &str| logs.append(name).map_err(start);
        let (report, failure) = watch::channel(None);
        let (lines, serial, events) = Lines::new();
        let spec = &resources.spec;
        let serial = Serial::new(
            serial,
            log("serial.log")?,
            log("serial.times")?,
            Rules::of(&[&spec.profile.profile.console, &spec.console]),
            report.clone(),
        );
        let events = Events::new(events, log("events.jsonl")?, history.earlier_boots);
        let port = plan.ssh_port;
        let vm = Arc::new(Vm::start(resources, plan, settings, &lines).await?);
        let power_off_expected = Arc::new(AtomicBool::new(false));
        let (report_exit, exit) = watch::channel(None);
        let monitor = Monitor {
            vm: Arc::downgrade(&vm),
            lines,
            logs,
            power_off_expected: Arc::clone(&power_off_expected),
            failure: report,
            exit: report_exit,
        };
        tokio::spawn(monitor.run());
        let target = Target {
            port,
            identity: Arc::new(identity),
            resets: Arc::clone(&vm.resets),
            qemu: vm.process().qemu.pid(),
        };
        Ok(Self {
            forwards: tokio::sync::Mutex::default(),
            vm,
            serial,
            events,
            failure,
            gates: std::sync::Mutex::default(),
            power_off_expected,
            exit,
            target,
            reported_boot_before: history.reported_boot,
        })
    }
}

/// What happened to a machine before the first QEMU of this handle.
pub(super) struct History {
    /// Its guest is known to report its boot.
    pub(super) reported_boot: bool,
    /// Number of its boots that the logs already hold.
    pub(super) earlier_boots: usize,
}

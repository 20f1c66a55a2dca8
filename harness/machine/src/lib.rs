//! One running machine: QEMU under one owner, and the ways to talk to it.
//!
//! | file | subject |
//! |---|---|
//! | `spec`, `plan`, `prepare`, `disks`, `volume`, `metadata`, `artifact` | from what is asked for to files |
//! | `args`, `script` | QEMU's command line, for us and for a person's shell |
//! | `launch`, `process`, `folder` | QEMU started, owned, and cleaned up after |
//! | `chassis`, `lines`, `tasks` | what stays over a reset, which an emulated machine goes through as another QEMU |
//! | `serial`, `badness`, `login` | the serial line |
//! | `events`, `ready` | how the boot goes |
//! | `qmp` | QEMU's control line |
//! | `fault`, `end` | what can be broken from outside; how a machine ends |
//! | `cache`, `power` | disks with a write cache, and the power cut that empties it |
//! | `settle`, `saved` | a machine at rest, one that stands still, and those that go on from it |
//! | `keep`, `kept` | a machine in whole, as it stood when its trial failed |
//! | `ssh` | the guest's commands and files |
//! | `docker`, `forward`, `tls` | its Docker engines |
//! | `gate` | what the guest may reach |
//! | `hotplug` | disks and network cards that come while it runs |

mod args;
mod artifact;
mod badness;
mod cache;
mod cards;
mod chassis;
mod disks;
mod docker;
mod end;
mod error;
mod events;
mod fault;
mod forward;
mod gate;
mod hotplug;
mod keep;
mod kept;
mod launch;
mod lines;
pub mod log_dir;
mod login;
mod metadata;
mod plan;
mod power;
mod prepare;
pub mod profile;
mod qmp;
mod ready;
mod saved;
mod script;
mod serial;
pub mod services;
mod settle;
mod spec;
mod ssh;
mod tasks;
mod tls;
mod transfer;
mod volume;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;

use crate::profile::Network;
use crate::services::registry::Registry;
use base::private_dir::PrivateFolder;
pub use base::wait::WaitError;
pub use cache::Loss;
pub use cards::CardNetwork;
use chassis::{Chassis, Make};
pub use disks::make_blank;
pub use docker::Engine;
use docker::Forwards;
pub use error::{Badness, MachineError};
pub use events::BootEvent;
use events::Events;
pub use fault::{BrokenDisk, DiskFaults, Disturbance, Relay};
use host::port;
pub use kept::Kept;
pub use log_dir::LogDir;
pub use metadata::{Metadata, Page};
use qmp::Qmp;
use saved::Begin;
pub use saved::Saved;
pub use serial::Serial;
pub use spec::{Blank, Disk, MachineSpec};
use ssh::{Identity, Target};
pub use ssh::{KeyPair, Login, Output, Ssh};
pub use tls::Certificates;
pub use volume::{FileSystemKind, Volume};

/// This host, in the network that QEMU makes for a guest without metadata.
const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Between a failure of some line and the badness that caused it.
const CAUSE_GRACE: Duration = Duration::from_millis(700);

/// A machine that runs. Dropping it ends QEMU and removes its private folder.
pub struct Machine {
    // In this order: who uses the machine goes first, the folder last.
    forwards: tokio::sync::Mutex<Forwards>,
    chassis: Arc<Chassis>,
    serial: Serial,
    events: Events,
    bad: watch::Receiver<Option<Badness>>,
    /// Those of networks that came while it runs.
    gates: std::sync::Mutex<tokio::task::JoinSet<()>>,
    /// The guest is to switch the machine off.
    off_meant: Arc<AtomicBool>,
    /// How the last QEMU ended.
    over: watch::Receiver<Option<ExitStatus>>,
    target: Target,
    /// Whether the machine that it goes on from told of its boot.
    told_before: bool,
}

impl Machine {
    /// Starts QEMU. Does not wait for the guest.
    ///
    /// # Errors
    /// QEMU cannot be started; a port or file is taken (the message names the owner of a taken port).
    pub async fn start(spec: MachineSpec, logs: &LogDir) -> Result<Self, MachineError> {
        Self::begin(spec, Begin::PowerOn, logs).await
    }

    /// Starts QEMU with the guest's memory in `folder`, where [`Machine::save`] can leave the rest.
    ///
    /// # Errors
    /// As for [`Machine::start`].
    pub async fn start_savable(
        spec: MachineSpec,
        folder: &Path,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        Self::begin(spec, Begin::Savable(folder), logs).await
    }

    /// A machine that goes on from a saved one; `spec` is what that one was started with, of which
    /// disks and user data are in the saved ones. The clock still shows when it was saved.
    ///
    /// # Errors
    /// As for [`Machine::start`]; what was saved cannot be used by this QEMU.
    pub async fn fork(
        spec: MachineSpec,
        saved: &Saved,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        Self::go_on(spec, Begin::Saved(saved), logs).await
    }

    /// The same on copies in `folder`, where [`Machine::save`] can leave it.
    ///
    /// # Errors
    /// As for [`Machine::fork`]; there is no room for the copies.
    pub async fn fork_savable(
        spec: MachineSpec,
        saved: &Saved,
        folder: &Path,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        Self::go_on(spec, Begin::Continued(saved, folder), logs).await
    }

    async fn go_on(
        spec: MachineSpec,
        begin: Begin<'_>,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        let saved = begin.saved();
        let machine = Self::begin(spec, begin, logs).await?;
        if let Some(saved) = saved {
            machine.guard(saved.resume(&machine.now_qmp())).await?;
        }
        Ok(machine)
    }

    async fn begin(
        spec: MachineSpec,
        begin: Begin<'_>,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        let start = |error: std::io::Error| MachineError::Start(error.to_string());
        prepare::check(&spec).map_err(MachineError::Start)?;
        let folder = match begin.folder() {
            // Its disks are moved there when it is saved.
            Some(folder) => PrivateFolder::new_in(&folder.join("machine")),
            None => PrivateFolder::new(),
        };
        let folder = folder.map_err(start)?;
        let nonce = match begin {
            // It is that very machine, also after a reboot.
            Begin::Kept(kept) => kept.nonce(),
            _ => ssh::random_word(),
        };
        let port = (spec.profile.profile.network == Network::User)
            .then(|| port::Kept::new(spec.ssh_port.unwrap_or(0)).map(Arc::new));
        let port = port.transpose().map_err(MachineError::Start)?;
        let plan = prepare::prepare(&spec, &begin, &nonce, port.as_deref(), &folder, logs)?;
        let identity = Identity::new(nonce, plan.direct.is_some());
        let identity = match (&begin, begin.saved()) {
            (Begin::Kept(kept), _) => kept.identity(),
            (_, Some(saved)) => identity.going_on(saved.nonces(), saved.host_key()),
            (_, None) => identity,
        };
        let told_before = begin.saved().is_some_and(Saved::told);
        let registry = match &spec.registry {
            Some(registry) => {
                let log = logs.append("registry.log").map_err(start)?;
                Some(Registry::start(registry, &folder, log).await?)
            }
            None => None,
        };
        let make = Make {
            spec,
            logs: logs.clone(),
            _port: port,
            _registry: registry.map(Arc::new),
            folder: Arc::new(folder),
        };
        Self::launch(make, plan, Vec::new(), identity, told_before, 0).await
    }

    /// Runs `work` but ends it at once when the machine goes bad (panic line, QEMU gone).
    ///
    /// # Errors
    /// The badness, or what `work` failed with.
    pub async fn guard<T>(
        &self,
        work: impl Future<Output = Result<T, MachineError>>,
    ) -> Result<T, MachineError> {
        let mut bad = self.bad.clone();
        let error = tokio::select! {
            biased;
            bad = badness(&mut bad) => return Err(bad.into()),
            done = work => match done {
                Ok(value) => return Ok(value),
                Err(error) => error,
            },
        };
        Err(self.cause().await.unwrap_or(error))
    }

    /// What ended the machine, if something did: a line that broke is often the first to tell of
    /// it, so it is waited for a moment.
    pub async fn cause(&self) -> Option<MachineError> {
        let mut bad = self.bad.clone();
        let cause = tokio::time::timeout(CAUSE_GRACE, badness(&mut bad)).await;
        cause.ok().map(MachineError::from)
    }

    /// The serial line.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Boot events so far in this boot, and a wait for one by stage name.
    pub fn boot_events(&self) -> Vec<BootEvent> {
        self.events.current()
    }

    /// Whether the guest is one that tells of its boot, in this boot or the one that it goes on
    /// from.
    pub fn tells_of_its_boot(&self) -> bool {
        self.told_before || self.events.any()
    }

    /// Waits for the event of a stage in the current boot, whether the stage went well or not.
    ///
    /// # Errors
    /// The deadline, with the last event seen; or another stage that ended the boot.
    pub async fn wait_event(
        &self,
        stage: &str,
        limit: Duration,
    ) -> Result<BootEvent, MachineError> {
        self.events.wait(stage, limit).await
    }

    /// Ready: the `started` event where the guest sends events, else SSH's banner.
    ///
    /// # Errors
    /// The deadline.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), MachineError> {
        let tells = self.tells_of_its_boot();
        ready::wait(&self.events, tells, self.ssh_port(), limit).await
    }

    /// This host, in the network that QEMU makes for the guest.
    pub fn host_address(&self) -> Ipv4Addr {
        match self.chassis.make.spec.metadata.is_empty() {
            true => HOST_ADDRESS,
            false => metadata::HOST_ADDRESS,
        }
    }

    /// Lets the guest reach a UDP port of this host's loopback, at [`Machine::host_address`].
    pub fn open_port(&self, port: u16) {
        for (_, gate) in &self.chassis.now().plan.gates {
            gate.open_port(port);
        }
    }

    /// The host port that leads to the guest's port 22.
    pub fn ssh_port(&self) -> u16 {
        self.target.port
    }

    /// The host key that the last login met, in the form of the wire.
    pub fn host_key(&self) -> Option<Vec<u8>> {
        self.target.identity.pinned()
    }

    /// QEMU's process id. That of an emulated machine is another one after a reset.
    pub fn pid(&self) -> u32 {
        self.chassis.now().qemu.pid()
    }

    /// The machine's own folder, gone when it is.
    pub fn folder(&self) -> &Path {
        self.chassis.make.folder.path()
    }

    /// Logs in (retrying only connection failures, not refusals); the nonce is read back and the
    /// host key pinned.
    ///
    /// # Errors
    /// Refused, the deadline, or another machine answers.
    pub async fn ssh(&self, login: &Login, limit: Duration) -> Result<Ssh, MachineError> {
        Ssh::open(self.target.clone(), login.clone(), limit).await
    }

    /// QMP `execute`, for what has no method of its own.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn qmp(
        &self,
        command: &str,
        arguments: serde_json::Value,
    ) -> Result<serde_json::Value, MachineError> {
        let qmp = self.qmp_line().await;
        qmp.execute(command, arguments).await
    }

    /// The same for what must hold after a reset, too, until what it is part of is forgotten.
    async fn set(
        &self,
        of: &str,
        command: &'static str,
        arguments: serde_json::Value,
    ) -> Result<(), MachineError> {
        self.qmp(command, arguments.clone()).await?;
        self.chassis.remember(of, command, arguments);
        Ok(())
    }

    /// The control line of the QEMU of now.
    fn now_qmp(&self) -> Arc<Qmp> {
        Arc::clone(&self.chassis.now().qmp)
    }

    /// The same, of the next one where one takes the place of another.
    async fn qmp_line(&self) -> Arc<Qmp> {
        loop {
            let qmp = self.now_qmp();
            if qmp.is_open() || self.is_over() {
                return qmp;
            }
            tokio::select! {
                () = self.chassis.replaced(&qmp) => {}
                _ = self.ended() => {}
            }
        }
    }

    /// A picture of the screen (PNG).
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn screenshot(&self, file: &Path) -> Result<(), MachineError> {
        let arguments = serde_json::json!({ "filename": file, "format": "png" });
        self.qmp("screendump", arguments).await.map(drop)
    }

    /// Says that a reboot is coming: boot events and "this boot" of the serial log start anew, and
    /// what leads to the engines ends, for nothing else tells it that its other end is gone.
    pub async fn expect_reboot(&self) {
        self.forwards.lock().await.clear();
        self.events.new_boot();
        self.serial.new_boot();
    }
}

/// The first badness; never comes back from a machine without one.
async fn badness(bad: &mut watch::Receiver<Option<Badness>>) -> Badness {
    let found = bad
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|found| found.clone());
    match found {
        Some(found) => found,
        None => std::future::pending().await,
    }
}

//! The handle of a machine: query it, wait for it, fail fast with it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;

use super::process::QmpSetting;
use super::vm::Vm;
use crate::console::serial::Serial;
use crate::error::{FailureWatch, GuestFailure, MachineError, until_fatal};
use crate::guest::Engine;
use crate::guest::boot_events::{BootEvent, Events};
use crate::guest::ready;
use crate::qemu::qmp::Qmp;
use crate::services::metadata;
use crate::ssh::forward::Forward;
use crate::ssh::{Login, Ssh, Target};
use base::private_dir::PrivateFolder;

/// The address of the host in the network that QEMU makes for a guest without metadata.
pub(crate) const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Time between an error on a connection and the guest failure that caused it.
const CAUSE_GRACE: Duration = Duration::from_millis(700);

/// The sockets on this host that lead to engines of the guest, each with its login.
pub(crate) type Forwards = Vec<((Login, Engine), Forward)>;

/// A machine. Dropping it kills QEMU and removes its private directory.
pub struct Machine {
    // Dropped in this order: what uses the machine first, the directory last.
    pub(crate) forwards: tokio::sync::Mutex<Forwards>,
    pub(super) vm: Arc<Vm>,
    pub(super) serial: Serial,
    pub(super) events: Events,
    /// The first failure of the guest or of QEMU.
    pub(super) failure: FailureWatch,
    /// Packet filters of networks that were plugged in.
    pub(super) gates: std::sync::Mutex<tokio::task::JoinSet<()>>,
    /// The guest was asked to switch the machine off.
    pub(super) power_off_expected: Arc<AtomicBool>,
    /// How the last QEMU exited.
    pub(super) exit: watch::Receiver<Option<ExitStatus>>,
    pub(super) target: Target,
    /// The guest reported its boot before this handle's first QEMU: a fork, or after a power cut.
    pub(super) reported_boot_before: bool,
}

impl Machine {
    /// Runs `work`, and cancels it at once when the guest fails (a panic on its console) or QEMU exits.
    ///
    /// # Errors
    /// That failure, or the error of `work`.
    pub async fn fail_fast<T>(
        &self,
        work: impl Future<Output = Result<T, MachineError>>,
    ) -> Result<T, MachineError> {
        let mut failure = self.failure.clone();
        let error = tokio::select! {
            biased;
            failure = first_failure(&mut failure) => return Err(failure.into()),
            done = work => match done {
                Ok(value) => return Ok(value),
                Err(error) => error,
            },
        };
        Err(self.cause().await.unwrap_or(error))
    }

    /// The guest failure that ended the machine, if there is one. A broken connection is often noticed
    /// first, so this waits a moment.
    pub async fn cause(&self) -> Option<MachineError> {
        let mut failure = self.failure.clone();
        let cause = tokio::time::timeout(CAUSE_GRACE, first_failure(&mut failure)).await;
        cause.ok().map(MachineError::from)
    }

    /// The serial line.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Boot events of the current boot so far.
    pub fn boot_events(&self) -> Vec<BootEvent> {
        self.events.current()
    }

    /// Whether the guest reports its boot: it did so in this boot, or in the boot that this machine
    /// continues.
    pub fn reports_boot(&self) -> bool {
        self.reported_boot_before || self.events.any()
    }

    /// Waits for the event of a stage in the current boot, whether the stage succeeded or failed.
    ///
    /// # Errors
    /// The deadline, with the last event seen; another stage ended the boot; the guest panicked or QEMU exited.
    pub async fn wait_event(
        &self,
        stage: &str,
        limit: Duration,
    ) -> Result<BootEvent, MachineError> {
        until_fatal(&self.failure, self.events.wait(stage, limit)).await
    }

    /// Waits until the guest is ready: the `started` event if the guest sends events, else SSH's banner.
    ///
    /// # Errors
    /// The deadline; the guest panicked or QEMU exited.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), MachineError> {
        let sends_events = self.reports_boot();
        let ready = ready::wait(&self.events, sends_events, self.ssh_port(), limit);
        until_fatal(&self.failure, ready).await
    }

    /// The address of this host in the network that QEMU makes for the guest.
    pub fn host_address(&self) -> Ipv4Addr {
        if self.vm.resources.spec.metadata.is_empty() {
            HOST_ADDRESS
        } else {
            metadata::HOST_ADDRESS
        }
    }

    /// Lets the guest reach a UDP port on this host's loopback, at [`Machine::host_address`].
    pub fn open_port(&self, port: u16) {
        for (_, gate) in &self.vm.process().plan.gates {
            gate.open_port(port);
        }
    }

    /// The host port that is forwarded to the guest's port 22.
    pub fn ssh_port(&self) -> u16 {
        self.target.port
    }

    /// The host key of the last login, in SSH wire format.
    pub fn host_key(&self) -> Option<Vec<u8>> {
        self.target.identity.pinned()
    }

    /// QEMU's process ID. Under TCG it changes with each reset.
    pub fn pid(&self) -> u32 {
        self.vm.process().qemu.pid()
    }

    /// The machine's own folder; removed with the machine.
    pub fn folder(&self) -> &Path {
        self.vm.resources.folder.path()
    }

    /// Logs in. Retries connection failures, not refusals. Reads the nonce back and pins the host key.
    ///
    /// # Errors
    /// The login is refused; the deadline; another machine answers.
    pub async fn ssh(&self, login: &Login, limit: Duration) -> Result<Ssh, MachineError> {
        let failure = self.failure.clone();
        let open = Ssh::open(self.target.clone(), login.clone(), limit, failure.clone());
        until_fatal(&failure, open).await
    }

    /// Executes any QMP command.
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

    /// Executes a QMP command that must also hold after a reset, until its `owner` is forgotten.
    pub(crate) async fn set(
        &self,
        owner: &str,
        command: &'static str,
        arguments: serde_json::Value,
    ) -> Result<(), MachineError> {
        self.apply(QmpSetting {
            owner: owner.to_owned(),
            command,
            arguments,
            descriptor: None,
        })
        .await
    }

    /// Executes the command of a setting, and records it.
    pub(super) async fn apply(&self, setting: QmpSetting) -> Result<(), MachineError> {
        let (qmp, descriptor) = (self.qmp_line().await, setting.descriptor.as_deref());
        qmp.execute_with(setting.command, setting.arguments.clone(), descriptor)
            .await?;
        self.vm.remember(setting);
        Ok(())
    }

    /// The control connection of the current QEMU.
    pub(crate) fn current_qmp(&self) -> Arc<Qmp> {
        Arc::clone(&self.vm.process().qmp)
    }

    /// An open control connection: waits for the next QEMU while one replaces another.
    async fn qmp_line(&self) -> Arc<Qmp> {
        loop {
            let qmp = self.current_qmp();
            if qmp.is_open() || self.has_exited() {
                return qmp;
            }
            tokio::select! {
                () = self.vm.replaced(&qmp) => {}
                _ = self.ended() => {}
            }
        }
    }

    /// Drops the settings of an owner, so that the next QEMU does not get them.
    pub(crate) fn forget(&self, owner: &str) {
        self.vm.forget(owner);
    }

    /// The machine's own folder, in which sockets can be created.
    pub(crate) fn private_folder(&self) -> &PrivateFolder {
        &self.vm.resources.folder
    }

    /// Writes a screenshot (PNG).
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn screenshot(&self, file: &Path) -> Result<(), MachineError> {
        let arguments = serde_json::json!({ "filename": file, "format": "png" });
        self.qmp("screendump", arguments).await.map(drop)
    }

    /// Announces a reboot: boot events and "this boot" of the serial log start again, and the forwards to
    /// the engines are closed, because nothing else reports that their other end is gone.
    pub async fn expect_reboot(&self) {
        self.forwards.lock().await.clear();
        self.events.new_boot();
        self.serial.new_boot();
    }
}

/// The first failure; pending for ever while there is none.
async fn first_failure(failure: &mut watch::Receiver<Option<GuestFailure>>) -> GuestFailure {
    let found = failure
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|found| found.clone());
    match found {
        Some(found) => found,
        None => std::future::pending().await,
    }
}

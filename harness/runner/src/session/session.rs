//! The session: the state that the steps of a trial share, such as the machine and its open connections.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bollard::Docker;

use crate::client::Client;
use crate::project::Project;
use base::shell::quote;
use machine::services::{NameServer, TimeServer};
use machine::{Engine, KeyPair, Login, Machine, Output, RANCHEROS, Ssh};
use scenario::Account;

use super::deadline::{Deadline, LOGIN, scaled};
use super::failure::StepFailure;
use super::faults::ActiveFaults;
use super::networks::Networks;

/// A running machine and the open connections to it.
pub(crate) struct Session<'a> {
    /// The machine.
    pub(crate) machine: Arc<Machine>,
    /// The trial's key pair.
    pub(crate) keys: &'a KeyPair,
    /// The folder of the snapshots to compare with.
    pub(crate) snapshots: &'a Path,
    /// The project that images are built from.
    pub(crate) project: &'a Project,
    /// The networks between the machines of the trial.
    pub(crate) networks: Arc<Networks>,
    /// The indices of the scenario's disks; the disks of the profile come before them.
    pub(crate) disks: Range<usize>,
    /// The faults that steps injected.
    pub(crate) faults: ActiveFaults,
    /// The time server, if a step started one.
    pub(crate) time_server: Option<TimeServer>,
    /// The client, from the first step that used it.
    pub(crate) client: Option<Client>,
    /// The name server, if a step started one.
    pub(crate) name_server: Option<NameServer>,
    seed: Option<u64>,
    /// Notes for the user about this trial.
    notes: Vec<String>,
    ssh: Option<Ssh>,
    system: Option<Docker>,
    user: Option<Docker>,
}

impl<'a> Session<'a> {
    /// A session without connections: a scenario without `ssh` never logs in.
    pub(crate) fn new(
        machine: Arc<Machine>,
        keys: &'a KeyPair,
        snapshots: &'a Path,
        project: &'a Project,
    ) -> Self {
        Self {
            machine,
            keys,
            snapshots,
            project,
            networks: Arc::default(),
            disks: 0..0,
            faults: ActiveFaults::default(),
            time_server: None,
            client: None,
            name_server: None,
            seed: None,
            notes: Vec::new(),
            ssh: None,
            system: None,
            user: None,
        }
    }

    /// Connects the steps to the networks between machines.
    #[must_use]
    pub(crate) fn with_networks(self, networks: &Arc<Networks>) -> Self {
        let networks = Arc::clone(networks);
        Self { networks, ..self }
    }

    /// Sets the seed for steps that have none.
    #[must_use]
    pub(crate) fn with_seed(self, seed: Option<u64>) -> Self {
        Self { seed, ..self }
    }

    /// The trial's seed. If none was given, it is drawn on first use.
    pub(crate) fn seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(|| fastrand::u64(..))
    }

    /// Adds a note, which is emitted and included in the report of a failure.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// All notes.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Switches to this machine. If it is another one, the open connections are dropped.
    pub(crate) fn switch_to(&mut self, machine: &Arc<Machine>) {
        if !Arc::ptr_eq(&self.machine, machine) {
            self.forget();
            self.faults.after_power_cut();
            self.machine = Arc::clone(machine);
        }
    }

    /// The login with the trial's key.
    pub(crate) fn own_login(&self) -> Login {
        Login::Key {
            user: RANCHEROS.user.into(),
            private_key: self.keys.private.clone(),
        }
    }

    /// The trial's SSH connection, opened on first use.
    pub(crate) async fn ssh(&mut self, deadline: &Deadline) -> Result<Ssh, StepFailure> {
        if let Some(ssh) = &self.ssh {
            return Ok(ssh.clone());
        }
        let limit = scaled(LOGIN).min(deadline.left());
        let ssh = self.machine.ssh(&self.own_login(), limit).await?;
        Ok(self.ssh.insert(ssh).clone())
    }

    /// A client of an engine's API, opened on first use.
    pub(crate) async fn docker(
        &mut self,
        engine: Engine,
        deadline: &Deadline,
    ) -> Result<Docker, StepFailure> {
        if let Some(docker) = self.cached(engine) {
            return Ok(docker.clone());
        }
        let ssh = self.ssh(deadline).await?;
        let docker = self.machine.docker(&ssh, engine).await?;
        Ok(self.cached(engine).insert(docker).clone())
    }

    fn cached(&mut self, engine: Engine) -> &mut Option<Docker> {
        match engine {
            Engine::System => &mut self.system,
            Engine::User => &mut self.user,
        }
    }

    /// Sets the clock of the machine to that of this host.
    pub(crate) async fn set_clock(&mut self, deadline: &Deadline) -> Result<(), StepFailure> {
        let now = base::clock::now();
        let command = format!("date -u -s @{now:.0} > /dev/null");
        let output = self.run(&command, Account::Root, deadline).await?;
        match output.exit {
            Some(0) => Ok(()),
            _ => Err(StepFailure::new("cannot set the clock").with_output(&command, &output)),
        }
    }

    /// Drops all connections, for example after a reboot.
    pub(crate) fn forget(&mut self) {
        (self.ssh, self.system, self.user) = (None, None, None);
    }

    /// Runs a command line over the trial's SSH connection.
    pub(crate) async fn run(
        &mut self,
        command: &str,
        account: Account,
        deadline: &Deadline,
    ) -> Result<Output, StepFailure> {
        let ssh = self.ssh(deadline).await?;
        Ok(ssh
            .run(&for_account(command, account), deadline.left())
            .await?)
    }
}

/// A command line that runs with the rights of an account.
pub(crate) fn for_account(command: &str, account: Account) -> String {
    match account {
        Account::Login => command.to_owned(),
        Account::Root => format!("sudo -n sh -c {}", quote(command)),
    }
}

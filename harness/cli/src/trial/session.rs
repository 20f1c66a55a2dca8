//! What the steps of a trial share: the machine, and the connections to it that are open.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bollard::Docker;

use crate::client::Client;
use base::shell::quote;
use machine::services::{NameServer, TimeServer};
use machine::{Engine, KeyPair, Login, Machine, Output, Ssh};
use scenario::Account;

use super::broken::Broken;
use super::deadline::{self, Deadline};
use super::fault::Fault;
use super::scaled;

/// Who logs in where nothing else is said.
pub const USER: &str = "rancher";

/// A running machine and what is open to it.
pub struct Session<'a> {
    /// The machine.
    pub machine: Arc<Machine>,
    /// The trial's own key.
    pub keys: &'a KeyPair,
    /// Where snapshots are.
    pub snapshots: &'a Path,
    /// The disks of the scenario, counted with those of the profile before them.
    pub disks: Range<usize>,
    /// What steps broke.
    pub broken: Broken,
    /// Who tells the machine the time, where a step asked for it.
    pub time_server: Option<TimeServer>,
    /// A person's computer, from the first step on that used it.
    pub client: Option<Client>,
    /// Who tells it addresses, where a step asked for it.
    pub name_server: Option<NameServer>,
    seed: Option<u64>,
    /// What people should know about this trial.
    notes: Vec<String>,
    ssh: Option<Ssh>,
    system: Option<Docker>,
    user: Option<Docker>,
}

impl<'a> Session<'a> {
    /// Nothing is open yet: a scenario without `ssh` never logs in.
    pub fn new(machine: Arc<Machine>, keys: &'a KeyPair, snapshots: &'a Path) -> Self {
        Self {
            machine,
            keys,
            snapshots,
            disks: 0..0,
            broken: Broken::default(),
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

    /// The same with the seed that is drawn from where a step has none of its own.
    #[must_use]
    pub fn with_seed(self, seed: Option<u64>) -> Self {
        Self { seed, ..self }
    }

    /// The trial's seed, drawn at its first use unless it was given.
    pub fn seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(|| fastrand::u64(..))
    }

    /// Remembers what people should know, and what a red verdict says.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// All that was noted.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// From now on it is this machine; to another one than before nothing is open yet.
    pub fn go_on_with(&mut self, machine: &Arc<Machine>) {
        if !Arc::ptr_eq(&self.machine, machine) {
            self.forget();
            self.broken.after_power_cut();
            self.machine = Arc::clone(machine);
        }
    }

    /// The trial's own login.
    pub fn own_login(&self) -> Login {
        Login::Key {
            user: USER.into(),
            private_key: self.keys.private.clone(),
        }
    }

    /// The trial's own connection.
    pub async fn ssh(&mut self, deadline: &Deadline) -> Result<Ssh, Fault> {
        if let Some(ssh) = &self.ssh {
            return Ok(ssh.clone());
        }
        let limit = scaled(deadline::LOGIN).min(deadline.left());
        let ssh = self.machine.ssh(&self.own_login(), limit).await?;
        Ok(self.ssh.insert(ssh).clone())
    }

    /// An engine's API.
    pub async fn docker(&mut self, engine: Engine, deadline: &Deadline) -> Result<Docker, Fault> {
        if let Some(docker) = self.kept(engine) {
            return Ok(docker.clone());
        }
        let ssh = self.ssh(deadline).await?;
        let docker = self.machine.docker(&ssh, engine).await?;
        Ok(self.kept(engine).insert(docker).clone())
    }

    fn kept(&mut self, engine: Engine) -> &mut Option<Docker> {
        match engine {
            Engine::System => &mut self.system,
            Engine::User => &mut self.user,
        }
    }

    /// Sets the clock to what it is here.
    pub async fn set_clock(&mut self, deadline: &Deadline) -> Result<(), Fault> {
        let now = base::clock::now();
        let command = format!("date -u -s @{now:.0} > /dev/null");
        let output = self.run(&command, Account::Root, deadline).await?;
        match output.exit {
            Some(0) => Ok(()),
            _ => Err(Fault::new("the clock cannot be set").with_output(&command, &output)),
        }
    }

    /// Nothing is open any more: the machine was rebooted.
    pub fn forget(&mut self) {
        (self.ssh, self.system, self.user) = (None, None, None);
    }

    /// Runs a command line over the trial's own connection.
    pub async fn run(
        &mut self,
        command: &str,
        account: Account,
        deadline: &Deadline,
    ) -> Result<Output, Fault> {
        let ssh = self.ssh(deadline).await?;
        Ok(ssh
            .run(&for_account(command, account), deadline.left())
            .await?)
    }
}

/// A command line with the rights of an account.
pub fn for_account(command: &str, account: Account) -> String {
    match account {
        Account::Rancher => command.to_owned(),
        Account::Root => format!("sudo -n sh -c {}", quote(command)),
    }
}

//! Several machines of `harness run`: a cluster on one network.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use futures_util::future::try_join_all;
use tokio::sync::Semaphore;

use super::background::note;
use super::boot::{Booting, Kind, member};
use super::member::Member;
use super::running::RunningMachine;
use super::signals::Signals;
use super::spec::Place;
use super::state::StateFolder;
use super::{RunOptions, other};
use base::wait::{Poll, wait_until};
use host::speed;
use machine::services::Names;
use machine::switch::Network;
use machine::{Link, MachineError};
use runner::evidence::Evidence;

/// The timeout for the address of a machine that is ready, on the reference host.
const ADDRESS_SECONDS: u64 = 30;

/// The name of a machine, by its index: a, b, c.
pub(super) fn name(index: u8) -> String {
    char::from(b'a' + index).to_string()
}

/// What the machines of a cluster have in common.
pub(super) struct Cluster<'a> {
    options: &'a RunOptions,
    state: &'a StateFolder,
    evidence: &'a Evidence,
    network: Network,
    /// How many machines may boot at the same time.
    turns: Semaphore,
}

impl<'a> Cluster<'a> {
    /// Creates the network; must be called inside a tokio runtime.
    pub(super) fn new(
        options: &'a RunOptions,
        state: &'a StateFolder,
        evidence: &'a Evidence,
    ) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let each = usize::try_from(options.profile.profile.cpus.get()).unwrap_or(1);
        Self {
            options,
            state,
            evidence,
            network: Network::new(),
            // Guests have timeouts of their own, which an emulated boot with half of its processors exceeds.
            turns: Semaphore::new((cores / each).max(1)),
        }
    }

    /// Boots the machines until all are ready. If one fails, all are stopped.
    pub(super) async fn boot(
        &self,
        machines: &[RunningMachine],
    ) -> Result<Vec<Member>, MachineError> {
        let names = self.names(machines);
        let boots = (1..).zip(machines).map(async |(number, one)| {
            let place = self.place(number, one, &names);
            self.boot_one(place).await
        });
        try_join_all(boots).await
    }

    /// The names of all machines, as each of them sees them: `b` and `b.lan`.
    fn names(&self, machines: &[RunningMachine]) -> Names {
        let settings = self.network.settings();
        let mut names = Names::new();
        for (number, one) in (1..).zip(machines) {
            if let (Some(name), Some(address)) = (&one.name, settings.subnet.machine(number)) {
                names.insert(format!("{name}.{}", settings.name), address);
                names.insert(name.clone(), address);
            }
        }
        names
    }

    fn place(&self, number: u32, one: &RunningMachine, names: &Names) -> Place {
        Place {
            name: one.name.clone(),
            port: one.port,
            address: self.network.settings().subnet.machine(number),
            links: vec![Link {
                network: self.network.clone(),
                machine: one.name.clone().unwrap_or_default(),
                number,
            }],
            names: names.clone(),
        }
    }

    /// Boots a machine when it is its turn.
    async fn boot_one(&self, place: Place) -> Result<Member, MachineError> {
        let _turn = self.turns.acquire().await.map_err(other)?;
        let name = place.name.clone().unwrap_or_default();
        let evidence = self.evidence.of_machine(&name).map_err(other)?;
        let console = evidence.file("serial.log");
        note(&format!(
            "{name}: boots; its serial console is in {}",
            console.display()
        ));
        let begin = Instant::now();
        let booted = async {
            let member = member(self.options, self.state, place, &evidence).await?;
            member.ready().await?;
            Ok(member)
        };
        let member = booted.await.map_err(|error: MachineError| {
            let folder = evidence.folder().display();
            other(format!("machine {name}: {error}\nevidence: {folder}"))
        })?;
        self.wait_for_address(&member, &name).await;
        let seconds = begin.elapsed().as_secs();
        note(&format!("{name}: ready after {seconds} s"));
        Ok(member)
    }

    /// Waits until a machine uses its address. Its configuration may give it another one, so this is no failure.
    async fn wait_for_address(&self, member: &Member, name: &str) {
        let look = async || match self.network.is_present(name) {
            Ok(true) => Poll::Ready(()),
            Ok(false) => Poll::NotYet("no answer".into()),
            Err(error) => Poll::Failed(error.to_string()),
        };
        let limit = speed::seconds(ADDRESS_SECONDS);
        let waited = wait_until("its address", limit, look).await;
        if let (Err(error), Some(address)) = (waited, member.address) {
            note(&format!("{name}: does not use {address}: {error}"));
        }
    }
}

/// The machines and how to log in to each.
pub(super) fn describe(machines: &[Member]) -> String {
    let mut text = format!(
        "{} machines, which reach each other by name",
        machines.len()
    );
    for one in machines {
        let address = one.address.map(|address| address.to_string());
        let line = [one.name.clone(), address].map(Option::unwrap_or_default);
        let _ = write!(text, "\n  {}  {}", line.join("  "), one.login);
    }
    text
}

/// Watches the machines in the foreground until all have ended or the user stops them. Their consoles do not
/// share the terminal: each is in the evidence.
pub(super) async fn watch(
    booting: Booting,
    signals: &mut Signals,
) -> Result<ExitCode, MachineError> {
    let (end, again) = match booting.kind {
        Kind::Boots => (
            "powers them off",
            "powering off; Ctrl-C again cuts the power",
        ),
        Kind::Entered { .. } => (
            "stops them",
            "the machines are stopped; they can be entered again",
        ),
    };
    eprintln!("ready: {}\nCtrl-C {end}", booting.describe());
    tokio::select! {
        ended = booting.ended() => return ended.map(|()| ExitCode::SUCCESS),
        () = signals.any() => {}
    }
    eprintln!("\n{again}");
    tokio::select! {
        () = booting.power_off() => {}
        // The machines are dropped, which stops them.
        () = signals.any() => {}
    }
    Ok(ExitCode::SUCCESS)
}

//! Alternative programs: measures the time until the exit status of `true` in a guest is known.
//!
//! All use the same kernel and the same emulation, and run in turn. virtme-ng and vmtest boot the kernel
//! each time; their time is the duration of their command. They are installed in `target/bench` with the
//! clients of their registries.

mod install;
mod virtme;
mod vmtest;

use std::path::PathBuf;
use std::time::Instant;

use tokio::process::Command;

use host::speed;
use machine::profile::Accelerator;
use machine::{Machine, MachineError};

use crate::common::Result;
use crate::common::bench::{Bench, close};
use crate::common::figure::{Figure, fine_list, list, median};
use crate::parent::Parent;

/// The bound of the ratio of a fork to each of them.
const BOUND: f64 = 1.0;
/// The timeout of one run, on the reference host.
const RUN_SECONDS: u64 = 120;

/// The inputs of the alternative programs.
pub(crate) struct Wanted {
    /// The folder of the benchmarks.
    pub folder: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
    /// The codename of the kernel's Debian release.
    pub suite: String,
    /// The package of the kernel.
    pub package: &'static str,
    /// Whether the guest is emulated.
    pub emulated: bool,
    /// The memory in MiB, as for the fork.
    pub memory: u64,
    /// The number of processors, as for the fork.
    pub cpus: u64,
}

/// The release of the OS's kernel; see `images/root/image.yaml`.
const PACKAGE: &str = "linux-image-cloud-amd64";
/// The package of the booted kernel, if no file beside it records it.
const SUITE: &str = "trixie";

/// Runs each program the given number of times.
pub(crate) async fn measure(bench: &Bench, parent: &Parent, rounds: u16) -> Result<Vec<Figure>> {
    let wanted = wanted(bench)?;
    let mut virtme = Rival::new("virtme-ng", virtme::command(&wanted).await);
    let mut vmtest = Rival::new("vmtest", vmtest::command(&wanted).await);
    let mut ours = Vec::new();
    for number in 1..=rounds {
        ours.push(our_run(bench, parent).await?);
        virtme.run().await;
        vmtest.run().await;
        eprintln!("round {number} of {rounds}");
    }
    println!("\nuntil the exit status of `true` in a guest is known:");
    println!("a fork: {}", fine_list(&ours));
    let ours = median(&ours);
    Ok(vec![
        virtme.figure("fork over virtme-ng", ours),
        vmtest.figure("fork over vmtest", ours),
    ])
}

fn wanted(bench: &Bench) -> Result<Wanted> {
    let kernel = &bench.artifacts.kernel;
    let manifest = kernel.with_file_name("manifest.json");
    let suite = match std::fs::read(manifest) {
        Ok(text) => serde_json::from_slice::<images::Manifest>(&text)?.suite,
        Err(_) => SUITE.to_owned(),
    };
    let profile = &bench.spec.profile;
    Ok(Wanted {
        folder: bench.project.root().canonicalize()?.join("target/bench"),
        kernel: kernel.canonicalize()?,
        suite,
        package: PACKAGE,
        emulated: profile.accelerator != Accelerator::Kvm,
        memory: bench.spec.memory_mib(),
        cpus: profile.profile.cpus.get(),
    })
}

/// Forks and waits until `true` exits.
async fn our_run(bench: &Bench, parent: &Parent) -> Result<f64> {
    let evidence = bench.evidence()?;
    let begin = Instant::now();
    let run = async {
        let fork = Machine::fork(bench.spec.clone(), &parent.saved, evidence.logs()).await?;
        let limit = speed::seconds(RUN_SECONDS);
        let ran = async {
            fork.ssh(&bench.login, limit)
                .await?
                .run("true", limit)
                .await
        };
        let output = fork.fail_fast(ran).await?;
        let took = begin.elapsed().as_secs_f64();
        fork.stop().await;
        match output.exit {
            Some(0) => Ok(took),
            _ => Err(MachineError::Other(format!(
                "unexpected result of `true`: {output:?}"
            ))),
        }
    };
    close(&evidence, run.await)
}

/// A compared program.
struct Rival {
    name: &'static str,
    /// Its command, or why it cannot be measured.
    command: Result<Command>,
    times: Vec<f64>,
}

impl Rival {
    fn new(name: &'static str, command: Result<Command>) -> Self {
        let times = Vec::new();
        Self {
            name,
            command,
            times,
        }
    }

    async fn run(&mut self) {
        let Ok(command) = &mut self.command else {
            return;
        };
        let begin = Instant::now();
        let limit = speed::seconds(RUN_SECONDS);
        let ended = tokio::time::timeout(limit, install::done(command)).await;
        match ended {
            Ok(Ok(())) => self.times.push(begin.elapsed().as_secs_f64()),
            Ok(Err(error)) => self.command = Err(error),
            Err(_) => self.command = Err(format!("timed out after {limit:.0?}").into()),
        }
    }

    /// The ratio of a fork to this program.
    fn figure(self, name: &'static str, ours: f64) -> Figure {
        match self.command {
            Ok(_) => {
                println!("{}: {}", self.name, list(&self.times));
                Figure::new(name, ours / median(&self.times), BOUND, 3)
            }
            Err(error) => {
                println!("{}: {error}", self.name);
                let why = error.to_string();
                Figure::missing(name, why.lines().next().unwrap_or_default(), BOUND)
            }
        }
    }
}

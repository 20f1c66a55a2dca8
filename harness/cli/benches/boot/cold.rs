//! Measures cold boots, from the start of QEMU until Docker answers in an SSH login.

use std::time::{Duration, Instant};

use base::wait::{Poll, wait_until};
use harness::artifacts::Artifacts;
use harness::project::Project;
use machine::profile::Profile;
use machine::{Login, Machine, MachineError, MachineSpec, Ssh};
use runner::evidence::Evidence;

use crate::common::bench::{boot_limit, failed};
use crate::common::figure::{Figure, list, median};
use crate::common::{Result, ours};
use crate::debian;

/// The bound of the ratio of our boot time to Debian's.
const BOUND: f64 = 0.75;

/// One of the compared systems.
pub(crate) struct System {
    /// Its name.
    pub name: &'static str,
    /// The machine.
    pub spec: MachineSpec,
    /// The login.
    pub login: Login,
    /// A command that succeeds when its Docker engines answer.
    pub question: &'static str,
    /// A command that prints where the time went.
    pub account: &'static str,
}

/// Boots both systems in turn, so that other load on the host affects both.
pub(crate) async fn measure(project: &Project, artifacts: &Artifacts, runs: u16) -> Result<Figure> {
    let profile = ours::profile(project)?;
    let ours = ours(&profile, artifacts)?;
    let theirs = debian::prepare(project, &profile, artifacts).await?;
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        let last = run == runs;
        our_times.push(boot(project, &ours, last).await?);
        their_times.push(boot(project, &theirs, last).await?);
    }
    println!("\n{}: {}", ours.name, list(&our_times));
    println!("{}: {}", theirs.name, list(&their_times));
    let ratio = median(&our_times) / median(&their_times);
    Ok(Figure::new("cold boot over Debian", ratio, BOUND, 2))
}

fn ours(profile: &Profile, artifacts: &Artifacts) -> Result<System> {
    let (spec, login) = ours::machine(profile, artifacts)?;
    Ok(System {
        name: "RancherOS until both Docker engines answer",
        spec,
        login,
        question: "docker ps && sudo -n system-docker ps",
        account: "",
    })
}

/// Boots once and returns the seconds; prints the boot timeline on request.
async fn boot(project: &Project, system: &System, print_timeline: bool) -> Result<f64> {
    let evidence = Evidence::begin(&project.evidence_folder(), "bench-boot")?;
    let begin = Instant::now();
    let machine = Machine::start(system.spec.clone(), evidence.logs()).await?;
    let ssh = match machine.fail_fast(answer(&machine, system)).await {
        Ok(ssh) => ssh,
        Err(error) => {
            let why = format!("{}: {error}", system.name);
            return Err(failed(&evidence, why));
        }
    };
    let took = begin.elapsed().as_secs_f64();
    println!("{}: {took:.1} s", system.name);
    if print_timeline {
        climb(&machine, &ssh, system).await?;
    }
    machine.stop().await;
    std::fs::remove_dir_all(evidence.folder())?;
    Ok(took)
}

/// Waits for a login in which the system's command succeeds.
pub(crate) async fn answer(
    machine: &Machine,
    system: &System,
) -> std::result::Result<Ssh, MachineError> {
    let limit = boot_limit();
    let ssh = machine.ssh(&system.login, limit).await?;
    let answered = wait_until("an answer of Docker", limit, async || {
        asked(&ssh, system.question, limit).await
    });
    answered.await?;
    Ok(ssh)
}

async fn asked(ssh: &Ssh, question: &str, limit: Duration) -> Poll<()> {
    match ssh.run(question, limit).await {
        Ok(output) if output.exit == Some(0) => Poll::Ready(()),
        Ok(output) => Poll::NotYet(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Poll::Failed(error.to_string()),
    }
}

/// Prints where the time went, from the guest: seconds since the kernel started.
async fn climb(machine: &Machine, ssh: &Ssh, system: &System) -> Result<()> {
    println!("\n{}, the last boot:", system.name);
    for event in machine.boot_events() {
        println!("{:8.2} s  {}", event.seconds, event.stage);
    }
    if !system.account.is_empty() {
        let account = ssh.run(system.account, boot_limit()).await?;
        print!("{}", String::from_utf8_lossy(&account.stdout));
    }
    println!();
    Ok(())
}

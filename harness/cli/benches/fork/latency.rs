//! Measures how long a fork takes until it answers, and where the time goes.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use machine::{Engine, Machine, MachineError, Ssh};
use runner::evidence::Evidence;

use crate::common::Result;
use crate::common::bench::{Bench, close};
use crate::common::figure::{Figure, fine_list, list, median};
use crate::parent::Parent;

/// The bound of the time to the first command's output, in seconds.
const OUTPUT_BOUND: f64 = 0.35;
/// The bound of its ratio to a cold boot.
const RATIO_BOUND: f64 = 1.0 / 40.0;
/// The bound of the time to the list of containers, in seconds.
const DOCKER_BOUND: f64 = 0.8;

/// The request to a fork. Each fork gets one request, because the time counts from the decision to fork.
#[derive(Clone, Copy)]
enum Asked {
    /// A command over SSH.
    Command,
    /// The containers of the user's Docker.
    Containers,
}

/// Seconds from the decision to fork.
struct Times {
    answer: f64,
    /// The CPU time of QEMU until then, which does not depend on other load of the host.
    processor: f64,
    /// The number of guest code blocks that QEMU translated until then. Translation is most of the work of an
    /// emulated fork, and the number is the same on every host; 0 with KVM.
    blocks: f64,
    /// The stages that were reached, in order.
    stages: Vec<(String, f64)>,
}

/// Forks the given number of times for each request, one at a time.
pub(crate) async fn measure(
    bench: &Bench,
    parent: &Parent,
    boots: &[f64],
    runs: u16,
) -> Result<[Figure; 3]> {
    let mut commands = Vec::new();
    let mut containers = Vec::new();
    for number in 1..=runs {
        let command = timed(bench, parent, Asked::Command).await?;
        let listed = timed(bench, parent, Asked::Containers).await?;
        eprintln!(
            "forks {number} of {runs}: output {:.3} s, docker ps {:.3} s",
            command.answer, listed.answer
        );
        commands.push(command);
        containers.push(listed);
    }
    for all in [&commands, &containers] {
        println!("\nwhere the time of a fork goes, medians since its start:");
        for (name, at) in timeline(all) {
            println!("{at:8.3} s  {name}");
        }
        let processor: Vec<_> = all.iter().map(|times| times.processor).collect();
        println!("{:8.3} s  CPU time of QEMU until then", median(&processor));
        let blocks: Vec<_> = all.iter().map(|times| times.blocks).collect();
        println!("{:8.0}    translated code blocks", median(&blocks));
    }
    let answers = |all: &[Times]| all.iter().map(|times| times.answer).collect::<Vec<_>>();
    let (outputs, dockers) = (answers(&commands), answers(&containers));
    println!("\ncold boot to the first output: {}", list(boots));
    println!("fork to the first output: {}", fine_list(&outputs));
    println!("fork to docker ps: {}", fine_list(&dockers));
    let output = median(&outputs);
    Ok([
        Figure::new("fork to the first output seconds", output, OUTPUT_BOUND, 3),
        Figure::new(
            "fork over cold boot",
            output / median(boots),
            RATIO_BOUND,
            4,
        ),
        Figure::new(
            "fork to docker ps seconds",
            median(&dockers),
            DOCKER_BOUND,
            3,
        ),
    ])
}

async fn timed(bench: &Bench, parent: &Parent, asked: Asked) -> Result<Times> {
    let evidence = bench.evidence()?;
    let times = one(bench, parent, &evidence, asked).await;
    close(&evidence, times)
}

async fn one(
    bench: &Bench,
    parent: &Parent,
    evidence: &Evidence,
    asked: Asked,
) -> std::result::Result<Times, MachineError> {
    let (begin, begin_clock) = (Instant::now(), clock());
    let fork = Machine::fork(bench.spec.clone(), &parent.saved, evidence.logs()).await?;
    let running = begin.elapsed().as_secs_f64();
    let (ssh, at, what) = match asked {
        Asked::Command => {
            let (ssh, at) = fork.fail_fast(bench.first_command(&fork)).await?;
            (ssh, at, "the first command's output")
        }
        Asked::Containers => {
            let ssh = fork.fail_fast(bench.log_in(&fork)).await?;
            fork.fail_fast(list_containers(&fork, &ssh)).await?;
            let what = "the user's Docker listed its containers";
            (ssh, Instant::now(), what)
        }
    };
    let answer = (at - begin).as_secs_f64();
    let processor = processor_seconds(fork.pid())
        .map_err(|e| MachineError::Other(format!("processor time of QEMU: {e}")))?;
    let blocks = translated_blocks(&fork).await?;
    let mut stages = qemu_stages(evidence, begin_clock);
    stages.push(("the guest is running".into(), running));
    for (what, at) in ssh.stages() {
        stages.push(((*what).into(), at.duration_since(begin).as_secs_f64()));
    }
    stages.push((what.into(), answer));
    fork.stop().await;
    Ok(Times {
        answer,
        processor,
        blocks,
        stages,
    })
}

/// From the monitor of QEMU: the line `TB count            39081` of `info jit`.
async fn translated_blocks(fork: &Machine) -> std::result::Result<f64, MachineError> {
    let asked = serde_json::json!({ "command-line": "info jit" });
    let printed = fork.qmp("human-monitor-command", asked).await?;
    let mut lines = printed.as_str().unwrap_or_default().lines();
    let count = lines.find_map(|line| line.strip_prefix("TB count")?.trim().parse().ok());
    Ok(count.unwrap_or_default())
}

/// The CPU time of all threads of a process (the first number of `schedstat` in proc(5), in nanoseconds).
fn processor_seconds(pid: u32) -> std::io::Result<f64> {
    let mut sum = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
        sum += first.unwrap_or_default() / 1e9;
    }
    Ok(sum)
}

async fn list_containers(fork: &Machine, ssh: &Ssh) -> std::result::Result<(), MachineError> {
    let docker = fork.docker(ssh, Engine::User).await?;
    let listed = docker.list_containers(None).await;
    listed.map_err(|error| MachineError::Other(format!("docker ps: {error}")))?;
    Ok(())
}

/// The stages in the QMP log.
fn qemu_stages(evidence: &Evidence, begin: f64) -> Vec<(String, f64)> {
    let log = std::fs::read_to_string(evidence.file("qmp.log")).unwrap_or_default();
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let sent = |line: &&Value, command| line["sent"]["execute"] == command;
    let greeted = lines.iter().find(|line| line["got"]["QMP"].is_object());
    let ready = lines.iter().find(|line| sent(line, "migrate-incoming"));
    let resumed = lines.iter().find(|line| sent(line, "cont"));
    let stages = [
        ("QEMU sends its greeting", greeted),
        ("QEMU starts to load the device state", ready),
        ("QEMU has loaded the device state", resumed),
    ];
    let known = stages.into_iter().filter_map(|(what, line)| {
        let at = line?["at"].as_f64()?;
        Some((what.to_owned(), at - begin))
    });
    known.collect()
}

fn clock() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// The median of each stage.
fn timeline(all: &[Times]) -> Vec<(String, f64)> {
    let Some(first) = all.first() else {
        return vec![];
    };
    let median_of = |(number, (name, _)): (usize, &(String, f64))| {
        let at: Vec<_> = all
            .iter()
            .filter_map(|times| times.stages.get(number).map(|(_, at)| *at))
            .collect();
        (name.clone(), median(&at))
    };
    first.stages.iter().enumerate().map(median_of).collect()
}

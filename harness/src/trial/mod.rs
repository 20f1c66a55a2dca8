//! A trial: one scenario on one profile, from power-on to verdict.
//!
//! Each step runs under [`Machine::guard`](crate::machine::Machine::guard), so a panic of the guest
//! ends it at once, and under a deadline. What happened is written down as it happens; a red trial
//! says all that one needs to know without running it again.

mod begin;
mod deadline;
mod describe;
mod fault;
mod import;
mod judge;
mod report;
mod session;
mod snapshot;
mod steps;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::artifacts::Artifacts;
use crate::checkpoint::Store;
use crate::evidence::Evidence;
use crate::host::scale::Scale;
use crate::machine::{Disk, KeyPair, MachineSpec};
use crate::profile::Profile;
use crate::scenario::{CloudConfig, Scenario, Step};

use begin::Begun;
use deadline::Deadline;
use fault::Fault;
use report::{Ran, Red};
use session::Session;
use watch::{Moment, Watch};

/// What is tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The machine.
    pub profile: Profile,
    /// What must hold on it.
    pub scenario: Arc<Scenario>,
}

/// How it is tried.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where evidence folders go.
    pub evidence: PathBuf,
    /// Keep the evidence of a trial that passed, too.
    pub keep: bool,
    /// Tell each step on stderr.
    pub tell: bool,
    /// Machines that are ready, to go on from; none has every machine booted.
    pub checkpoints: Option<Store>,
}

/// Why a trial did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The machine did not do what the scenario expects.
    Red(String),
    /// There was no machine to judge.
    Infrastructure(String),
}

impl Failure {
    /// All there is to say.
    pub fn text(&self) -> &str {
        match self {
            Self::Red(text) | Self::Infrastructure(text) => text,
        }
    }
}

impl Trial {
    /// `PROFILE::SCENARIO`.
    pub fn name(&self) -> String {
        format!("{}::{}", self.profile.name, self.scenario.name)
    }

    /// Boots the machine, runs the steps, judges.
    ///
    /// # Errors
    /// The verdict is red, or none could be had.
    pub async fn run(&self, artifacts: &Artifacts, settings: &Settings) -> Result<(), Failure> {
        let folder = format!("{}-{}", self.profile.name, self.scenario.name);
        let evidence = Evidence::begin(&settings.evidence, &folder).map_err(|error| {
            let folder = settings.evidence.display();
            Failure::Infrastructure(format!("no evidence can be written to {folder}: {error}"))
        })?;
        let log = self.log(settings, &evidence);
        let begun = self.begin(artifacts, settings, &log).await;
        let begun = match begun {
            Ok(begun) => begun,
            // What is to be seen of it lies in the evidence of the boot.
            Err(Failure::Red(why)) => return close(&evidence, Err(why), settings.keep),
            Err(failure) => return Err(failure),
        };
        let verdict = self.judge(&begun, &log).await;
        let verdict = verdict.map_err(|red| red.compose(self, &begun.machine, &evidence));
        begun.machine.stop().await;
        close(&evidence, verdict, settings.keep)
    }

    fn spec(&self, artifacts: &Artifacts, keys: &KeyPair) -> Result<MachineSpec, Failure> {
        let wanted = &self.scenario.machine;
        let key = wanted.ssh_key.then_some(keys.public.trim());
        let disks = wanted.disks.iter();
        Ok(MachineSpec {
            profile: self
                .profile
                .resolve(&artifacts.kernel)
                .map_err(|why| Failure::Infrastructure(why.to_string()))?,
            kernel: artifacts.kernel.clone(),
            initrd: Some(artifacts.initrd.clone()),
            kernel_args: wanted.kernel_arguments.clone(),
            memory: wanted.memory,
            disks: disks
                .map(|d| Disk::Blank {
                    mib: d.size,
                    label: d.label.clone(),
                })
                .collect(),
            user_data: CloudConfig::render(wanted.cloud_config.as_ref(), key)
                .map_err(Failure::Infrastructure)?,
            ssh_port: None,
        })
    }

    fn log<'a>(&self, settings: &Settings, evidence: &'a Evidence) -> Log<'a> {
        let watch = if settings.tell {
            Watch::lines(&self.name())
        } else {
            Watch::nobody()
        };
        Log {
            evidence,
            watch,
            begin: Instant::now(),
        }
    }

    /// Until the machine is ready, then the steps.
    async fn judge(&self, begun: &Begun, log: &Log<'_>) -> Result<(), Red> {
        let mut ran = Vec::new();
        let snapshots = self.scenario.file.with_file_name("snapshots");
        let mut session = Session::new(&begun.machine, &begun.keys, &snapshots);
        let (what, ready) = (begun.what(), begun.ready(&mut session));
        log.around(0, 1, what, ready, &mut ran)
            .await
            .map_err(|fault| Red::boot(fault, &ran))?;

        let whole = Deadline::within(scaled(self.scenario.timeout));
        for (number, step) in self.scenario.steps.iter().enumerate() {
            let what = describe::step(step);
            let work = within(step, &mut session, &whole);
            log.around(number + 1, step.line, &what, work, &mut ran)
                .await
                .map_err(|fault| Red::step(fault, number, &ran))?;
        }
        Ok(())
    }
}

/// A step under the guard, its own deadline and that of the whole scenario.
async fn within(step: &Step, session: &mut Session<'_>, whole: &Deadline) -> Result<(), Fault> {
    /// What a wait gets to say what it saw last, before it is cut off.
    const LAST_WORDS: Duration = Duration::from_secs(3);

    if whole.left().is_zero() {
        let limit = whole.limit().as_secs_f64();
        return Err(Fault::new(format!(
            "the scenario's {limit:.0} s were over before this step"
        )));
    }
    let limit = scaled(deadline::of_step(step)).min(whole.left());
    let machine = session.machine;
    let work = async { Ok(steps::perform(step, session, &Deadline::within(limit)).await) };
    match tokio::time::timeout(limit + LAST_WORDS, machine.guard(work)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(bad)) => Err(bad.into()),
        Err(_) => {
            let limit = limit.as_secs_f64();
            Err(Fault::new(format!(
                "the step did not end within {limit:.0} s"
            )))
        }
    }
}

/// A time on the reference host, on this one.
fn scaled(time: Duration) -> Duration {
    Scale::of_host().apply(time)
}

/// What is written down and told while a trial runs.
struct Log<'a> {
    evidence: &'a Evidence,
    watch: Watch,
    begin: Instant,
}

impl Log<'_> {
    async fn around(
        &self,
        number: usize,
        line: usize,
        what: &str,
        work: impl Future<Output = Result<(), Fault>>,
        ran: &mut Vec<Ran>,
    ) -> Result<(), Fault> {
        let begin = Instant::now();
        self.watch.tell(&Moment::Begins(what));
        self.record(&json!({ "step": number, "line": line, "begins": what }));
        let verdict = work.await;
        let took = begin.elapsed();
        let fault = verdict.as_ref().err().map(Fault::render);
        self.record(&json!({ "step": number, "took": took.as_secs_f64(), "fault": fault }));
        self.watch.tell(&match verdict {
            Ok(()) => Moment::Held(what, took),
            Err(_) => Moment::Failed(what, took),
        });
        ran.push(Ran {
            what: what.into(),
            took,
        });
        verdict
    }

    fn record(&self, event: &serde_json::Value) {
        let mut event = event.clone();
        event["at"] = self.begin.elapsed().as_secs_f64().into();
        self.evidence.record(&event);
    }
}

/// Writes the verdict down; what passed leaves nothing unless it is to be kept.
fn close(evidence: &Evidence, verdict: Result<(), String>, keep: bool) -> Result<(), Failure> {
    let result = match &verdict {
        Ok(()) => json!({ "verdict": "passed" }),
        Err(why) => json!({ "verdict": "red", "why": why }),
    };
    let folder = evidence.folder();
    let written = evidence.finish(&result);
    verdict.map_err(Failure::Red)?;
    let gone = if keep {
        Ok(())
    } else {
        std::fs::remove_dir_all(folder)
    };
    written.and(gone).map_err(|error| {
        let folder = folder.display();
        Failure::Infrastructure(format!("passed, but the evidence in {folder}: {error}"))
    })
}

#[cfg(test)]
mod tests;

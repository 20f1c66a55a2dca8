//! The trial matrix: each scenario on each of its profiles, and on its `more_profiles` on request.

use crate::project::Project;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use host::admission::{Host, ResourceRequest};
use libtest_mimic::Arguments;
use machine::profile::Profile;
use runner::trial::Trial;
use scenario::Scenario;

use super::PartOptions;

/// The selection of profiles.
pub(super) enum On<'a> {
    /// The `profiles` of each scenario.
    Default,
    /// All profiles that each scenario may run on.
    All,
    /// Only this profile, for scenarios that may run on it.
    One(&'a str),
}

impl On<'_> {
    fn wants(&self, scenario: &Scenario, profile: &str) -> bool {
        match self {
            Self::Default => scenario.profiles.iter().any(|name| name == profile),
            Self::All => scenario.may_run_on(profile),
            Self::One(only) => *only == profile && scenario.may_run_on(profile),
        }
    }
}

/// The trials of the selected profiles, sorted by name.
pub(super) fn all(
    project: &Project,
    profiles: Vec<Profile>,
    scenarios: Vec<Scenario>,
    on: &On<'_>,
) -> Vec<Trial> {
    let scenarios: Vec<_> = scenarios.into_iter().map(Arc::new).collect();
    let of = |profile: Profile| {
        let wanted = scenarios.iter();
        let wanted = wanted.filter(|scenario| on.wants(scenario, &profile.name));
        let trial = |s: &Arc<Scenario>| Trial {
            profile: profile.clone(),
            scenario: s.clone(),
            project: project.clone(),
        };
        wanted.map(trial).collect::<Vec<_>>()
    };
    let mut trials: Vec<_> = profiles.into_iter().flat_map(of).collect();
    trials.sort_by_key(Trial::name);
    trials
}

/// The trials of the shard in the options.
///
/// # Errors
/// The file of durations cannot be read.
pub(super) fn part(
    trials: Vec<Trial>,
    options: &PartOptions,
    own_file: &Path,
) -> Result<Vec<Trial>, String> {
    let Some(shard) = options.shard else {
        return Ok(trials);
    };
    let durations = shared_durations(options, own_file)?;
    let names: Vec<_> = trials.iter().map(Trial::name).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let part = shard.part(&names, &durations);
    let mut trials = trials;
    trials.retain(|trial| part.contains(&trial.name().as_str()));
    Ok(trials)
}

/// The durations of trials in seconds that all runs of a project share: those of the options, else those of
/// the project.
pub(crate) fn shared_durations(
    options: &PartOptions,
    own_file: &Path,
) -> Result<BTreeMap<String, f64>, String> {
    match &options.durations {
        Some(file) => durations(file),
        None if own_file.is_file() => durations(own_file),
        None => Ok(BTreeMap::new()),
    }
}

/// Reads durations in seconds by the name of the trial.
fn durations(file: &Path) -> Result<BTreeMap<String, f64>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let read = |text: String| serde_json::from_str(&text).map_err(|error| error.to_string());
    text.and_then(read)
        .map_err(|why| format!("cannot read durations from {}: {why}", file.display()))
}

/// The resources that the machines of a trial need together.
pub(super) fn request(trial: &Trial, boots: bool) -> ResourceRequest {
    let memory = trial.scenario.machine.memory;
    let machines = trial.scenario.cluster.machines.len().max(1);
    let memory = memory.unwrap_or(trial.profile.memory.get()) * machines as u64;
    let cpus = trial.profile.cpus.get();
    if boots {
        ResourceRequest::of_boot(memory, cpus)
    } else {
        ResourceRequest::of_fork(memory, cpus)
    }
}

/// Why a run leaves a scenario out, if it is nightly. A filter that contains the whole name asks for it.
pub(crate) fn nightly(
    scenario: &Scenario,
    arguments: &Arguments,
    options: &PartOptions,
) -> Option<String> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let is_wanted = options.nightly || filter.contains(&scenario.name);
    (scenario.nightly && !is_wanted).then(|| "nightly; hint: add `--nightly`".into())
}

/// Why this host can never run a trial.
pub(super) fn unreachable(trial: &Trial, host: Option<Host>) -> Option<String> {
    if let Err(why) = trial.profile.check_host() {
        return Some(format!("{}; {}", why.why, why.hint));
    }
    if let Err(why) = trial.registry_within_reach() {
        return Some(why);
    }
    host.and_then(|host| host.could(request(trial, true)).err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nightly_scenario_is_left_out_unless_the_run_or_the_filter_asks_for_it() {
        let (_, mut scenarios) = crate::project::find().load().unwrap();
        let mut scenario = scenarios.remove(0);
        scenario.name = "tea-for-three".into();
        let is_left_out = |scenario: &Scenario, filter: Option<&str>, asked| {
            let arguments = Arguments {
                filter: filter.map(str::to_owned),
                ..Arguments::default()
            };
            let options = PartOptions {
                nightly: asked,
                ..PartOptions::default()
            };
            nightly(scenario, &arguments, &options).is_some()
        };
        assert!(!is_left_out(&scenario, None, false));
        scenario.nightly = true;
        assert!(is_left_out(&scenario, None, false));
        assert!(is_left_out(&scenario, Some("tea"), false));
        assert!(!is_left_out(&scenario, Some("q35::tea-for-three"), false));
        assert!(!is_left_out(&scenario, None, true));
    }

    #[test]
    fn more_profiles_run_only_on_request() {
        let project = crate::project::find();
        let (profiles, mut scenarios) = project.load().unwrap();
        scenarios.truncate(1);
        let scenario = &mut scenarios[0];
        scenario.name = "tea".into();
        scenario.profiles = vec!["q35".into()];
        scenario.more_profiles = vec!["pc".into(), "q35-scsi".into()];
        let names = |on: On<'_>| {
            let trials = all(&project, profiles.clone(), scenarios.clone(), &on);
            trials.iter().map(Trial::name).collect::<Vec<_>>()
        };
        assert_eq!(names(On::Default), ["q35::tea"]);
        assert_eq!(names(On::All), ["pc::tea", "q35-scsi::tea", "q35::tea"]);
        assert_eq!(names(On::One("pc")), ["pc::tea"]);
        assert_eq!(names(On::One("q35-nvme")), [""; 0]);
    }
}

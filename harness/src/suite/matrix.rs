//! Which trials there are: each scenario on each of its profiles.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::admission::{Demand, Host};
use crate::profile::Profile;
use crate::scenario::Scenario;
use crate::trial::Trial;

use super::Options;

/// Each scenario on each of its profiles, in the order of their names.
pub(super) fn all(
    profiles: Vec<Profile>,
    scenarios: Vec<Scenario>,
    only: Option<&str>,
) -> Vec<Trial> {
    let scenarios: Vec<_> = scenarios.into_iter().map(Arc::new).collect();
    let of = |profile: Profile| {
        let wanted = scenarios.iter().filter({
            let name = profile.name.clone();
            move |scenario| scenario.profiles.contains(&name)
        });
        let trial = move |s: &Arc<Scenario>| Trial {
            profile: profile.clone(),
            scenario: s.clone(),
        };
        wanted.map(trial).collect::<Vec<_>>()
    };
    let mut trials: Vec<_> = profiles.into_iter().flat_map(of).collect();
    trials.retain(|trial| only.is_none_or(|only| trial.profile.name == only));
    trials.sort_by_key(Trial::name);
    trials
}

/// Those of the shard that the options name.
///
/// # Errors
/// The file of durations cannot be read.
pub(super) fn part(
    trials: Vec<Trial>,
    options: &Options,
    own_file: &Path,
) -> Result<Vec<Trial>, String> {
    let Some(shard) = options.shard else {
        return Ok(trials);
    };
    let durations = match &options.durations {
        Some(file) => durations(file)?,
        None if own_file.is_file() => durations(own_file)?,
        None => BTreeMap::new(),
    };
    let names: Vec<_> = trials.iter().map(Trial::name).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let ours = shard.part(&names, &durations);
    let mut trials = trials;
    trials.retain(|trial| ours.contains(&trial.name().as_str()));
    Ok(trials)
}

/// Seconds by the name of the trial.
fn durations(file: &Path) -> Result<BTreeMap<String, f64>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let read = |text: String| serde_json::from_str(&text).map_err(|error| error.to_string());
    text.and_then(read)
        .map_err(|why| format!("no durations in {}: {why}", file.display()))
}

/// What a trial's machine takes.
pub(super) fn demand(trial: &Trial, boots: bool) -> Demand {
    let memory = trial.scenario.machine.memory;
    let memory = memory.unwrap_or(trial.profile.memory.get());
    let cpus = trial.profile.cpus.get();
    match boots {
        true => Demand::of_boot(memory, cpus),
        false => Demand::of_fork(memory, cpus),
    }
}

/// Why this host cannot run a trial, ever.
pub(super) fn unreachable(trial: &Trial, host: Option<Host>) -> Option<String> {
    if let Err(why) = trial.profile.check_host() {
        return Some(format!("{}; {}", why.why, why.hint));
    }
    if let Err(why) = trial.registry_within_reach() {
        return Some(why);
    }
    let room = host.map_or(Ok(()), |host| host.could(demand(trial, true)));
    room.err()
}

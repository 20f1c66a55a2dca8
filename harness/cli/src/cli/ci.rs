//! Commands for a CI service that distributes the trials over many machines.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};

use harness::exit;
use harness::project::Project;
use machine::profile::Profile;
use runner::history::History;
use scenario::Scenario;

use super::Refusal;
use super::project::wrong;
use base::files;

/// `harness list --matrix SHARDS`.
pub(super) fn matrix(project: &Project, shards: u16) -> ExitCode {
    match project.load() {
        Ok((profiles, scenarios)) => {
            let jobs = jobs(&profiles, &scenarios, shards.into());
            super::print(&format!("{}\n", json!({ "include": jobs })));
            exit::OK.into()
        }
        Err(errors) => wrong(&errors),
    }
}

/// The jobs: the requested number of shards of each profile, without empty shards.
fn jobs(profiles: &[Profile], scenarios: &[Scenario], shards: usize) -> Vec<Value> {
    let of = |profile: &Profile| {
        let name = profile.name.clone();
        let wanted = scenarios.iter().filter(|s| s.may_run_on(&name));
        let shards = wanted.count().min(shards);
        let job = move |number| json!({ "profile": name, "shard": format!("{number}/{shards}") });
        (1..=shards).map(job).collect::<Vec<_>>()
    };
    profiles.iter().flat_map(of).collect()
}

/// `harness durations`.
pub(super) fn durations(project: &Project, write: bool) -> Result<ExitCode, Refusal> {
    let file = project.durations_file();
    let failed = |error: std::io::Error| {
        let file = file.display();
        Refusal::infrastructure(format!("cannot write {file}: {error}"))
    };
    let mut all = BTreeMap::new();
    if write && let Ok(text) = std::fs::read_to_string(&file) {
        all = serde_json::from_str(&text).map_err(|error| failed(error.into()))?;
    }
    all.extend(known(project)?);
    let text = serde_json::to_string_pretty(&all).map_err(|error| failed(error.into()))?;
    if !write {
        super::print(&format!("{text}\n"));
        return Ok(exit::OK.into());
    }
    let file = project.durations_file();
    files::replace(&file, files::SHARED, format!("{text}\n").as_bytes()).map_err(failed)?;
    Ok(exit::OK.into())
}

/// The recorded durations of the trials that exist.
fn known(project: &Project) -> Result<BTreeMap<String, f64>, Refusal> {
    let (_, scenarios) = project
        .load()
        .map_err(|_| Refusal::usage("invalid scenarios or profiles; hint: run `harness check`"))?;
    let medians = History::new(project.history_file()).medians();
    let exists = |trial: &str| {
        let (profile, name) = trial.split_once("::").unwrap_or_default();
        let mut scenarios = scenarios.iter();
        scenarios.any(|s| s.name == name && s.may_run_on(profile))
    };
    let mut known = BTreeMap::new();
    for (history_key, median) in medians {
        // A key of the history ends with the accelerator (`q35::boot tcg`); the longest duration counts.
        let trial = history_key.split(' ').next().unwrap_or_default().to_owned();
        if exists(&trial) {
            let longest = known.entry(trial).or_insert(0.0_f64);
            *longest = longest.max((median * 10.0).round() / 10.0);
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_have_no_empty_shards() {
        let (profiles, mut scenarios) = harness::project::find().load().unwrap();
        scenarios.truncate(4);
        for (n, scenario) in scenarios.iter_mut().enumerate() {
            let on: &[&str] = if n == 0 { &["pc", "q35"] } else { &["q35"] };
            scenario.profiles = on.iter().map(|name| (*name).to_owned()).collect();
            scenario.more_profiles.clear();
        }
        let jobs = |shards| Value::from(jobs(&profiles, &scenarios, shards));
        let job = |profile, shard| json!({ "profile": profile, "shard": shard });
        let wanted = [job("pc", "1/1"), job("q35", "1/2"), job("q35", "2/2")];
        assert_eq!(jobs(2), json!(wanted));
        assert_eq!(jobs(9).as_array().unwrap().len(), 5);
        scenarios.clear();
        assert_eq!(super::jobs(&profiles, &scenarios, 3), Vec::<Value>::new());
    }
}

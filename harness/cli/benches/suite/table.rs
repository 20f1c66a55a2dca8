//! The table that compares the runs.

use std::collections::BTreeSet;

use scenario::{Scenario, Start};

use crate::run::{One, Run};

/// One row per trial with the verdict and seconds of each run, followed by sums.
pub(crate) fn text(runs: &[Run], scenarios: &[Scenario]) -> String {
    let mut text = format!(
        "\n{:32}{:>24}{:>24}{:>24}\n",
        "", "creating checkpoints", "forking", "cold"
    );
    for name in names(runs) {
        let cells = runs.iter().map(|run| cell(run.trials.get(name)));
        text += &row(name, cells);
    }
    let always = |name: &str| boots_always(name, scenarios);
    text += &sums("trials that fork", runs, |name| !always(name));
    text += &sums("trials with `start: cold`", runs, always);
    let whole = runs.iter().map(|run| format!("{:.1} s", run.seconds));
    text + &row("the run", whole)
}

/// The number of trials whose verdicts differ, or that are missing in a run.
#[allow(clippy::cast_precision_loss, reason = "a small count")]
pub(crate) fn differing(runs: &[Run]) -> f64 {
    let differ = names(runs).into_iter().filter(|name| {
        let mut all = runs
            .iter()
            .map(|run| run.trials.get(*name).map(|one| &one.verdict));
        let first = all.next().flatten();
        first.is_none() || all.any(|other| other != first)
    });
    differ.count() as f64
}

fn names(runs: &[Run]) -> BTreeSet<&str> {
    runs.iter()
        .flat_map(|run| run.trials.keys().map(String::as_str))
        .collect()
}

fn cell(one: Option<&One>) -> String {
    match one {
        Some(one) => format!("{} {:.1} s", one.verdict, one.seconds),
        None => "not run".into(),
    }
}

fn row(name: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: String = cells.map(|cell| format!("{cell:>24}")).collect();
    format!("{name:32}{cells}\n")
}

fn sums(what: &str, runs: &[Run], wanted: impl Fn(&str) -> bool) -> String {
    let sum = |run: &Run| {
        let trials = run.trials.iter().filter(|(name, _)| wanted(name));
        trials
            .map(|(_, one)| one.seconds)
            .fold(0.0, |sum, one| sum + one)
    };
    row(what, runs.iter().map(|run| format!("{:.1} s", sum(run))))
}

/// Whether a trial, `PROFILE-SCENARIO`, boots in every run.
fn boots_always(trial: &str, scenarios: &[Scenario]) -> bool {
    let of = |scenario: &Scenario| {
        let mut profiles = scenario.profiles.iter();
        profiles.any(|profile| trial == format!("{profile}-{}", scenario.name))
    };
    let found = scenarios.iter().find(|scenario| of(scenario));
    found.is_some_and(|scenario| scenario.start == Start::Cold)
}

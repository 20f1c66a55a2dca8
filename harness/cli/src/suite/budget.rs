//! A time budget for a run: which trials come first, and which are left out.
//!
//! Trials that failed lately and trials whose scenario changed come first. Then comes the part of the trials
//! whose turn it is: a trial's part depends on its name alone, and the number of commits says which part's turn
//! it is. With [`TURNS`] parts each trial runs at least once in any [`TURNS`] commits. The other parts follow
//! while there is time. A trial that is left out is reported as ignored, never as passed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base::command;
use runner::history::History;
use runner::trial::Trial;

use super::shard;

/// The number of parts of the trials, and so the number of commits within which each trial runs.
pub(crate) const TURNS: usize = 6;

/// The number of commits in which a changed scenario comes first.
const CHANGES: usize = 6;

/// How long a trial is expected to take when no past run says it, in seconds.
const UNKNOWN_SECONDS: f64 = 60.0;

/// How long a run may take before it starts no more trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(Duration);

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(limit) if !limit.is_zero() => Ok(Self(limit)),
            Ok(_) => Err("a budget of zero runs nothing; hint: write `25m`".into()),
            Err(error) => Err(format!(
                "not a duration ({error}); hint: write `25m` or `90s`"
            )),
        }
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Budget {
    /// Whether a trial may start `elapsed` after the run began, if it is expected to take `seconds`.
    fn allows(self, turn: Turn, elapsed: Duration, seconds: Option<f64>) -> bool {
        let expected = Duration::from_secs_f64(seconds.unwrap_or(UNKNOWN_SECONDS).max(0.0));
        turn == Turn::Due || elapsed + expected <= self.0
    }
}

/// Why a trial runs in this run; the lower one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// It failed when it last ran.
    Failed,
    /// Its scenario changed in the last commits.
    Changed,
    /// It is its turn: it runs even if the budget is spent.
    Due,
    /// Its turn comes after this number of commits.
    Later(usize),
}

/// What decides whose turn it is.
#[derive(Debug, Clone, Default)]
struct Rotation {
    /// The number of commits of the project.
    commits: usize,
    /// The number of parts.
    turns: usize,
    /// The files of `scenarios/` that changed in the last [`CHANGES`] commits, without their folder.
    changed: BTreeSet<String>,
    /// The names of trials that failed when they last ran.
    failed: BTreeSet<String>,
}

impl Rotation {
    /// Asks git. A project that is no checkout has no commits: its first part is due.
    fn of(root: &Path, turns: usize, failed: BTreeSet<String>) -> Self {
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.arg("-C").arg(root).args(arguments);
            command::run(&mut git).unwrap_or_default()
        };
        let last = format!("-{CHANGES}");
        let changed = git(&["log", &last, "--name-only", "--format=", "--", "scenarios"]);
        Self {
            commits: git(&["rev-list", "--count", "HEAD"])
                .trim()
                .parse()
                .unwrap_or(0),
            turns,
            changed: changed.lines().map(base_name).collect(),
            failed,
        }
    }

    /// Whose turn a trial is; `files` are those of its scenario and setups.
    fn turn(&self, name: &str, files: &[&Path]) -> Turn {
        let changed = |file: &&Path| self.changed.contains(&base_name(&file.to_string_lossy()));
        if self.failed.contains(name) {
            return Turn::Failed;
        }
        if files.iter().any(changed) {
            return Turn::Changed;
        }
        let turns = self.turns;
        match (shard::by_name(name, turns) + turns - self.commits % turns) % turns {
            0 => Turn::Due,
            later => Turn::Later(later),
        }
    }
}

/// The order of a run with a budget, and what it left out.
pub(crate) struct Plan {
    budget: Budget,
    /// Each trial's turn and its expected duration in seconds.
    trials: BTreeMap<String, (Turn, Option<f64>)>,
    begin: OnceLock<Instant>,
    left_out: Mutex<BTreeSet<String>>,
}

impl Plan {
    /// Plans `trials` of the project at `root`, each of which is due once in `turns` commits; `seconds` is how
    /// long one is expected to take.
    pub(crate) fn new<'a>(
        budget: Budget,
        turns: usize,
        root: &Path,
        history: &History,
        trials: impl IntoIterator<Item = &'a Trial>,
        seconds: impl Fn(&Trial) -> Option<f64>,
    ) -> Self {
        let rotation = Rotation::of(root, turns, history.failed());
        let plan = |trial: &Trial| {
            let name = trial.name();
            let turn = rotation.turn(&name, &files(trial));
            (name, (turn, seconds(trial)))
        };
        Self::of(budget, trials.into_iter().map(plan).collect())
    }

    fn of(budget: Budget, trials: BTreeMap<String, (Turn, Option<f64>)>) -> Self {
        Self {
            budget,
            trials,
            begin: OnceLock::new(),
            left_out: Mutex::default(),
        }
    }

    /// Starts the clock.
    pub(crate) fn begin(&self) {
        let _ = self.begin.set(Instant::now());
    }

    /// The turn of a trial.
    pub(crate) fn turn(&self, name: &str) -> Turn {
        self.trials.get(name).map_or(Turn::Due, |(turn, _)| *turn)
    }

    /// Why a trial must not start now, if so; it is then left out.
    pub(crate) fn leave_out(&self, name: &str) -> Option<String> {
        let (turn, seconds) = *self.trials.get(name)?;
        let elapsed = self.begin.get()?.elapsed();
        if self.budget.allows(turn, elapsed, seconds) {
            return None;
        }
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.insert(name.to_owned());
        Some(format!(
            "left out: the budget of {} is used up",
            self.budget
        ))
    }

    /// A report of all trials that were left out, if there are any.
    pub(crate) fn left_out(&self) -> Option<String> {
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&str> = left_out.iter().map(String::as_str).collect();
        let (count, all, budget) = (names.len(), self.trials.len(), self.budget);
        (count > 0).then(|| {
            format!(
                "left out by the budget of {budget}, neither passed nor failed: {count} of {all} trials: {}",
                names.join(", ")
            )
        })
    }
}

/// The files of the scenario of a trial and of its setups.
fn files(trial: &Trial) -> Vec<&Path> {
    let setups = trial.scenario.setups.iter();
    let setups = setups.map(|setup| setup.file.as_path());
    setups.chain([trial.scenario.file.as_path()]).collect()
}

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        (0..60).map(|n| format!("q35::tea-{n}")).collect()
    }

    #[test]
    fn every_trial_is_due_once_in_six_commits() {
        for name in names() {
            let due = (100..100 + TURNS).filter(|&commits| {
                let rotation = Rotation {
                    commits,
                    turns: TURNS,
                    ..Rotation::default()
                };
                rotation.turn(&name, &[]) == Turn::Due
            });
            assert_eq!(due.count(), 1, "{name}");
        }
    }

    #[test]
    fn failed_and_changed_trials_come_first() {
        let rotation = Rotation {
            commits: 7,
            turns: TURNS,
            changed: [String::from("tea.yaml"), "kettle.yaml".into()].into(),
            failed: [String::from("q35::coffee")].into(),
        };
        let of = |name, file| rotation.turn(name, &[Path::new(file)]);
        let setup = rotation.turn(
            "q35::cup",
            &[
                Path::new("scenarios/cup.yaml"),
                Path::new("scenarios/setups/kettle.yaml"),
            ],
        );
        assert_eq!(of("q35::coffee", "scenarios/coffee.yaml"), Turn::Failed);
        assert_eq!(of("q35::tea", "scenarios/tea.yaml"), Turn::Changed);
        assert_eq!(setup, Turn::Changed);
        let mut turns = vec![Turn::Later(2), Turn::Due, Turn::Later(1), Turn::Failed];
        turns.sort();
        assert_eq!(
            turns,
            [Turn::Failed, Turn::Due, Turn::Later(1), Turn::Later(2)]
        );
    }

    #[test]
    fn budget_starts_what_fits_and_what_is_due() {
        let budget: Budget = "2m".parse().unwrap();
        let seconds = Duration::from_secs;
        assert!(budget.allows(Turn::Changed, seconds(60), Some(60.0)));
        assert!(!budget.allows(Turn::Changed, seconds(61), Some(60.0)));
        assert!(!budget.allows(Turn::Later(1), seconds(61), None));
        assert!(budget.allows(Turn::Due, seconds(600), Some(60.0)));
    }

    #[test]
    fn plan_names_what_it_left_out() {
        let later = |name: &str| (name.to_owned(), (Turn::Later(1), Some(90.0)));
        let due = |name: &str| (name.to_owned(), (Turn::Due, Some(90.0)));
        let trials = [due("q35::tea"), later("q35::milk"), later("q35::cup")];
        let plan = Plan::of("1m".parse().unwrap(), trials.into());
        assert_eq!(plan.leave_out("q35::milk"), None, "the clock stands still");
        plan.begin();
        assert_eq!(plan.leave_out("q35::tea"), None);
        assert_eq!(plan.left_out(), None);
        let why = plan.leave_out("q35::milk").unwrap();
        assert_eq!(why, "left out: the budget of 1m is used up");
        let report = plan.left_out().unwrap();
        assert!(
            report.ends_with("neither passed nor failed: 1 of 3 trials: q35::milk"),
            "{report}"
        );
    }

    #[test]
    fn budget_that_makes_no_sense_names_an_example() {
        for bad in ["0s", "25", "soon", ""] {
            let error = bad.parse::<Budget>().unwrap_err();
            assert!(error.contains("25m"), "{error}");
        }
    }
}

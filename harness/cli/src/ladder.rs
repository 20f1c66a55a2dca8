//! The boot ladder: the stages of a boot, when each was reached, and by when it should have been.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::host::scale::Scale;
use crate::machine::BootEvent;
use crate::profile::Budget;

/// One boot, from the kernel's first moment until the machine was ready or was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// The machine that booted, by the name of its profile.
    pub profile: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// A hash of the kernel and initrd that booted.
    pub build: String,
    /// How much slower than the reference this host was taken to be; budgets are multiplied by it.
    pub scale: f64,
    /// The evidence of the boot. A checkpoint's is not that of the trial.
    pub evidence: PathBuf,
    /// Whether the machine became ready.
    pub ready: bool,
    /// In the order in which they came.
    pub rungs: Vec<Rung>,
}

/// A stage of a boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Its name.
    pub stage: String,
    /// When it was reached, in seconds since the kernel began.
    pub seconds: f64,
    /// When it should have been, in seconds of this host.
    pub budget: Option<f64>,
    /// Why the stage failed.
    pub error: Option<String>,
}

impl Rung {
    /// Whether it was reached later than it should have been.
    pub fn is_late(&self) -> bool {
        self.budget.is_some_and(|budget| self.seconds > budget)
    }
}

impl Ladder {
    /// The rung of a stage.
    pub fn rung(&self, stage: &str) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.stage == stage)
    }

    /// What is to be said of the rungs that were reached too late.
    pub fn warning(&self) -> Option<String> {
        let late = self.rungs.iter().filter_map(|rung| {
            let budget = rung.budget.filter(|_| rung.is_late())?;
            let Rung { stage, seconds, .. } = rung;
            Some(format!(
                "{stage} at {seconds:.1} s instead of {budget:.1} s"
            ))
        });
        let late = late.collect::<Vec<_>>().join(", ");
        (!late.is_empty()).then(|| format!("the boot was over its budget: {late}"))
    }
}

/// What a boot told of itself, against the budgets of its profile.
pub(crate) fn rungs(
    events: &[BootEvent],
    budgets: &BTreeMap<String, Budget>,
    scale: Scale,
) -> Vec<Rung> {
    let rung = |event: &BootEvent| {
        let budget = budgets.get(&event.stage);
        Rung {
            stage: event.stage.clone(),
            seconds: event.seconds,
            budget: budget.map(|budget| scale.apply(budget.get()).as_secs_f64()),
            error: event.error.clone(),
        }
    };
    events.iter().map(rung).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stage: &str, seconds: f64) -> BootEvent {
        BootEvent {
            stage: stage.into(),
            seconds,
            error: None,
            ok: true,
            fatal: false,
        }
    }

    fn ladder(events: &[BootEvent]) -> Ladder {
        let budgets = [("init", "3s"), ("started", "20s")]
            .map(|(stage, time)| (stage.to_owned(), Budget::try_from(time.to_owned()).unwrap()));
        Ladder {
            profile: "q35".into(),
            accelerator: "tcg".into(),
            build: String::new(),
            scale: 1.0,
            evidence: PathBuf::new(),
            ready: true,
            rungs: rungs(events, &budgets.into(), Scale::REFERENCE),
        }
    }

    #[test]
    fn only_what_is_over_its_budget_is_warned_of() {
        let on_time = ladder(&[
            event("init", 3.0),
            event("root", 90.0),
            event("started", 19.0),
        ]);
        assert_eq!(on_time.warning(), None);
        let late = ladder(&[
            event("init", 3.04),
            event("root", 4.0),
            event("started", 25.5),
        ]);
        insta::assert_snapshot!(late.warning().unwrap(), @"the boot was over its budget: init at 3.0 s instead of 3.0 s, started at 25.5 s instead of 20.0 s");
        assert!(late.rung("started").unwrap().is_late());
    }
}

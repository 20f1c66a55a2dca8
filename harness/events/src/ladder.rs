//! The boot ladder: the stages of a boot, when each was reached, and by when it should have been.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(rungs: [(&str, f64, Option<f64>); 3]) -> Ladder {
        let rung = |(stage, seconds, budget): (&str, f64, Option<f64>)| Rung {
            stage: stage.into(),
            seconds,
            budget,
            error: None,
        };
        Ladder {
            profile: "q35".into(),
            accelerator: "tcg".into(),
            build: String::new(),
            scale: 1.0,
            evidence: PathBuf::new(),
            ready: true,
            rungs: rungs.map(rung).into(),
        }
    }

    #[test]
    fn warning_names_the_stages_over_their_budget() {
        let (init, started) = (Some(3.0), Some(20.0));
        let on_time = ladder([
            ("init", 3.0, init),
            ("root", 90.0, None),
            ("started", 19.0, started),
        ]);
        assert_eq!(on_time.warning(), None);
        let late = ladder([
            ("init", 3.04, init),
            ("root", 4.0, None),
            ("started", 25.5, started),
        ]);
        insta::assert_snapshot!(late.warning().unwrap(), @"the boot was over its budget: init at 3.0 s instead of 3.0 s, started at 25.5 s instead of 20.0 s");
        assert!(late.rung("started").unwrap().is_late());
    }
}

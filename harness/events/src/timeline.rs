//! The boot timeline: the stages of a boot with their times and time budgets.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One boot, from the start of the kernel until the machine was ready or the boot failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BootTimeline {
    /// The name of the profile.
    pub profile: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// A hash of the kernel and initrd that booted.
    pub build: String,
    /// The factor by which this host is slower than the reference; it is included in the budgets.
    pub scale: f64,
    /// The evidence folder of the boot. That of a checkpoint is not that of the trial.
    pub evidence: PathBuf,
    /// Whether the machine became ready.
    pub ready: bool,
    /// The stages in the order in which they occurred.
    pub stages: Vec<BootStage>,
}

/// A stage of a boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BootStage {
    /// The name.
    pub stage: String,
    /// The time at which it was reached, in seconds since the start of the kernel.
    pub seconds: f64,
    /// The time budget on this host, in seconds since the start of the kernel.
    pub budget: Option<f64>,
    /// Why the stage failed.
    pub error: Option<String>,
}

impl BootStage {
    /// Whether it was reached after its time budget.
    pub fn is_late(&self) -> bool {
        self.budget.is_some_and(|budget| self.seconds > budget)
    }
}

impl BootTimeline {
    /// The stage with this name.
    pub fn stage(&self, name: &str) -> Option<&BootStage> {
        self.stages.iter().find(|stage| stage.stage == name)
    }

    /// A warning about the stages that exceeded their budget; `None` if there are none.
    pub fn warning(&self) -> Option<String> {
        let late = self.stages.iter().filter_map(|stage| {
            let budget = stage.budget.filter(|_| stage.is_late())?;
            let BootStage { stage, seconds, .. } = stage;
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

    fn timeline(stages: [(&str, f64, Option<f64>); 3]) -> BootTimeline {
        let stage = |(stage, seconds, budget): (&str, f64, Option<f64>)| BootStage {
            stage: stage.into(),
            seconds,
            budget,
            error: None,
        };
        BootTimeline {
            profile: "q35".into(),
            accelerator: "tcg".into(),
            build: String::new(),
            scale: 1.0,
            evidence: PathBuf::new(),
            ready: true,
            stages: stages.map(stage).into(),
        }
    }

    #[test]
    fn warning_names_the_stages_over_their_budget() {
        let (init, started) = (Some(3.0), Some(20.0));
        let on_time = timeline([
            ("init", 3.0, init),
            ("root", 90.0, None),
            ("started", 19.0, started),
        ]);
        assert_eq!(on_time.warning(), None);
        let late = timeline([
            ("init", 3.04, init),
            ("root", 4.0, None),
            ("started", 25.5, started),
        ]);
        insta::assert_snapshot!(late.warning().unwrap(), @"the boot was over its budget: init at 3.0 s instead of 3.0 s, started at 25.5 s instead of 20.0 s");
        assert!(late.stage("started").unwrap().is_late());
    }
}

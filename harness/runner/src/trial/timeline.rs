//! Builds the boot timeline from boot events and the budgets of the profile.

use std::collections::BTreeMap;

use events::BootStage;

use host::speed::HostSpeed;
use machine::BootEvent;
use machine::profile::Budget;

/// The stages that the guest reported, each with its budget on this host.
pub(super) fn stages(
    events: &[BootEvent],
    budgets: &BTreeMap<String, Budget>,
    speed: HostSpeed,
) -> Vec<BootStage> {
    let stage = |event: &BootEvent| {
        let budget = budgets.get(&event.stage);
        BootStage {
            stage: event.stage.clone(),
            seconds: event.seconds,
            budget: budget.map(|budget| speed.apply(budget.get()).as_secs_f64()),
            error: event.error.clone(),
        }
    };
    events.iter().map(stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_have_budgets_scaled_for_the_host() {
        let event = |stage: &str| BootEvent {
            stage: stage.into(),
            seconds: 5.0,
            error: None,
            ok: true,
            fatal: false,
        };
        let budget = Budget::try_from("3s".to_owned()).unwrap();
        let budgets = [("init".to_owned(), budget)].into();
        let slow = stages(
            &[event("init"), event("root")],
            &budgets,
            HostSpeed::of_factor(2.0),
        );
        assert_eq!((slow[0].budget, slow[1].budget), (Some(6.0), None));
        assert!(!slow[0].is_late());
    }
}

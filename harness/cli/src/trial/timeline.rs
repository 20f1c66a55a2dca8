//! How a boot went, against the budgets of its profile.

use std::collections::BTreeMap;

use events::Rung;

use host::speed::Scale;
use machine::BootEvent;
use machine::profile::Budget;

/// The stages that a guest reported, each with its budget on this host.
pub(super) fn rungs(
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

    #[test]
    fn rungs_have_the_budgets_of_a_slower_host() {
        let event = |stage: &str| BootEvent {
            stage: stage.into(),
            seconds: 5.0,
            error: None,
            ok: true,
            fatal: false,
        };
        let budget = Budget::try_from("3s".to_owned()).unwrap();
        let budgets = [("init".to_owned(), budget)].into();
        let slow = rungs(
            &[event("init"), event("root")],
            &budgets,
            Scale::of_factor(2.0),
        );
        assert_eq!((slow[0].budget, slow[1].budget), (Some(6.0), None));
        assert!(!slow[0].is_late());
    }
}

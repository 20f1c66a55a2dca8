//! Compares boot events with expectations. The report of a failed trial lists the events.

use machine::BootEvent;
use scenario::step::EventsStep;

use crate::session::{Session, StepFailure};

pub(super) fn perform(step: &EventsStep, session: &Session<'_>) -> Result<(), StepFailure> {
    judge(step, &session.machine.boot_events())
}

fn judge(step: &EventsStep, events: &[BootEvent]) -> Result<(), StepFailure> {
    in_order(&step.order, events)?;
    step.failed
        .as_ref()
        .map_or(Ok(()), |wanted| failed(wanted, events))
}

fn in_order(wanted: &[String], events: &[BootEvent]) -> Result<(), StepFailure> {
    let mut reported = events.iter();
    for (number, stage) in wanted.iter().enumerate() {
        if reported.any(|event| event.stage == *stage) {
            continue;
        }
        let why = match (number, events.iter().any(|event| event.stage == *stage)) {
            (_, false) => format!("the stage {stage} was not reported"),
            (0, true) => format!("the stage {stage} was reported out of order"),
            (_, true) => format!(
                "the stage {stage} was not reported after {}",
                wanted[number - 1]
            ),
        };
        return Err(StepFailure::new(why));
    }
    Ok(())
}

fn failed(wanted: &[String], events: &[BootEvent]) -> Result<(), StepFailure> {
    let failed: Vec<&BootEvent> = events
        .iter()
        .filter(|event| event.error.is_some() || !event.ok)
        .collect();
    if let Some(event) = failed.iter().find(|event| !wanted.contains(&event.stage)) {
        let error = event.error.as_deref().unwrap_or("no reason given");
        return Err(StepFailure::new(format!(
            "the stage {} failed: {error}",
            event.stage
        )));
    }
    match wanted
        .iter()
        .find(|stage| !failed.iter().any(|event| event.stage == **stage))
    {
        Some(stage) => Err(StepFailure::new(format!(
            "the stage {stage} did not fail, expected it to"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stage: &str, error: Option<&str>) -> BootEvent {
        let error = error.map(str::to_owned);
        BootEvent {
            stage: stage.into(),
            seconds: 1.0,
            ok: error.is_none(),
            error,
            fatal: false,
        }
    }

    fn verdict(order: &[&str], failed: Option<&[&str]>) -> String {
        let events = [
            event("init", None),
            event("state", Some("no disk")),
            event("started", None),
        ];
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let step = EventsStep {
            order: words(order),
            failed: failed.map(words),
        };
        judge(&step, &events).map_or_else(|failure| failure.what, |()| "passed".into())
    }

    #[test]
    fn order_allows_other_stages_between() {
        assert_eq!(verdict(&["init", "started"], None), "passed");
        assert_eq!(
            verdict(&["started", "init"], None),
            "the stage init was not reported after started"
        );
        assert_eq!(
            verdict(&["init", "moon"], None),
            "the stage moon was not reported"
        );
    }

    #[test]
    fn failed_lists_exactly_the_failed_stages() {
        assert_eq!(verdict(&[], Some(&["state"])), "passed");
        assert_eq!(verdict(&[], Some(&[])), "the stage state failed: no disk");
        let both: &[&str] = &["state", "init"];
        assert_eq!(
            verdict(&[], Some(both)),
            "the stage init did not fail, expected it to"
        );
    }
}

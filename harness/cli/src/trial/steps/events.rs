//! Boot events against what was expected of them. The events themselves are in every red verdict.

use machine::BootEvent;
use scenario::EventsStep;

use super::super::fault::Fault;

pub(super) fn judge(step: &EventsStep, events: &[BootEvent]) -> Result<(), Fault> {
    in_order(&step.order, events)?;
    step.failed
        .as_ref()
        .map_or(Ok(()), |wanted| failed(wanted, events))
}

fn in_order(wanted: &[String], events: &[BootEvent]) -> Result<(), Fault> {
    let mut came = events.iter();
    for (number, stage) in wanted.iter().enumerate() {
        if came.any(|event| event.stage == *stage) {
            continue;
        }
        let why = match (number, events.iter().any(|event| event.stage == *stage)) {
            (_, false) => format!("the stage {stage} never came"),
            (0, true) => format!("the stage {stage} came, but not in its order"),
            (_, true) => format!(
                "the stage {stage} did not come after {}",
                wanted[number - 1]
            ),
        };
        return Err(Fault::new(why));
    }
    Ok(())
}

fn failed(wanted: &[String], events: &[BootEvent]) -> Result<(), Fault> {
    let failed: Vec<&BootEvent> = events
        .iter()
        .filter(|event| event.error.is_some() || !event.ok)
        .collect();
    if let Some(event) = failed.iter().find(|event| !wanted.contains(&event.stage)) {
        let error = event.error.as_deref().unwrap_or("no reason given");
        return Err(Fault::new(format!(
            "the stage {} failed: {error}",
            event.stage
        )));
    }
    match wanted
        .iter()
        .find(|stage| !failed.iter().any(|event| event.stage == **stage))
    {
        Some(stage) => Err(Fault::new(format!(
            "the stage {stage} did not fail, but should have"
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
        judge(&step, &events).map_or_else(|fault| fault.what, |()| "held".into())
    }

    #[test]
    fn stages_must_come_in_order_with_others_between() {
        assert_eq!(verdict(&["init", "started"], None), "held");
        assert_eq!(
            verdict(&["started", "init"], None),
            "the stage init did not come after started"
        );
        assert_eq!(
            verdict(&["init", "moon"], None),
            "the stage moon never came"
        );
    }

    #[test]
    fn the_failed_stages_are_exactly_those() {
        assert_eq!(verdict(&[], Some(&["state"])), "held");
        assert_eq!(verdict(&[], Some(&[])), "the stage state failed: no disk");
        let both: &[&str] = &["state", "init"];
        assert_eq!(
            verdict(&[], Some(both)),
            "the stage init did not fail, but should have"
        );
    }
}

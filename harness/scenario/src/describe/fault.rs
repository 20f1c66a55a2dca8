//! Titles of fault steps.

use std::time::Duration;

use crate::{CrashCause, DiskStep, EngineName, FaultStep, KillStep, Link, NetworkStep, Span};

pub(super) fn fault(step: &FaultStep) -> String {
    match step {
        FaultStep::Crash(step) => match step.by {
            CrashCause::Nmi => "crash: a panic by NMI".into(),
            CrashCause::Sysrq => "crash: a panic by sysrq".into(),
        },
        FaultStep::Kill(step) => kill(step),
        FaultStep::Pause(step) => format!("pause{}", lasting(step.lasting)),
        FaultStep::Resume(_) => "resume".into(),
        FaultStep::Network(step) => network(step),
        FaultStep::Disk(step) => disk(step),
        FaultStep::Clock(step) => {
            let seconds = step.jump.seconds;
            let length = time(Duration::from_secs(seconds.unsigned_abs()));
            let way = if seconds < 0 { "back" } else { "ahead" };
            format!("clock: {length} {way}")
        }
        FaultStep::Memory(step) => format!("memory: {} MiB are left", step.balloon),
        FaultStep::PowerButton(_) => "power button".into(),
        FaultStep::PowerOff(step) => format!("power off: {}", step.command),
        FaultStep::Undo(what) => format!("undo: {}", what.name()),
    }
}

fn kill(step: &KillStep) -> String {
    let signal = step.signal.name();
    match (&step.process, &step.command, &step.container) {
        (Some(name), ..) => format!("kill -{signal}: {name}"),
        (None, Some(pattern), _) => format!("kill -{signal}: /{}/", pattern.0),
        (None, None, Some(name)) => {
            let engine = match step.engine {
                Some(EngineName::System) => "system-docker",
                _ => "docker",
            };
            format!("kill -{signal}: the container {name} of {engine}")
        }
        (None, None, None) => "kill".into(),
    }
}

fn network(step: &NetworkStep) -> String {
    let link = step.link.map(|link| match link {
        Link::Up => "up".to_owned(),
        Link::Down => "down".to_owned(),
    });
    let delay = step.delay.map(|span| format!("{} late", time(span.0)));
    let loss = step.loss.map(|loss| format!("{loss} % lost"));
    let parts: Vec<_> = [link, delay, loss].into_iter().flatten().collect();
    let (interface, parts) = (step.interface(), parts.join(", "));
    format!("network: {interface} {parts}{}", lasting(step.lasting))
}

fn disk(step: &DiskStep) -> String {
    let parts = [
        step.read.map(|_| "reads fail".to_owned()),
        step.write.map(|_| "writes fail".to_owned()),
        step.slow
            .map(|span| format!("a request each {}", time(span.0))),
        step.full.then(|| "full".to_owned()),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("disk {}: {}", step.disk, parts.join(", "))
}

fn lasting(span: Option<Span>) -> String {
    span.map(|span| format!(" for {}", time(span.0)))
        .unwrap_or_default()
}

fn time(length: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_of_a_fault_lists_all_its_parts() {
        let network: NetworkStep =
            serde_yaml::from_str("{ delay: 200ms, loss: 10, for: 5s }").unwrap();
        assert_eq!(
            fault(&FaultStep::Network(network)),
            "network: eth0 200ms late, 10 % lost for 5s"
        );
        let disk: DiskStep = serde_yaml::from_str("{ read: error, slow: 20ms }").unwrap();
        assert_eq!(
            fault(&FaultStep::Disk(disk)),
            "disk 0: reads fail, a request each 20ms"
        );
        let clock = serde_yaml::from_str("{ jump: -90m }").unwrap();
        assert_eq!(fault(&FaultStep::Clock(clock)), "clock: 1h 30m back");
    }
}

//! Which services are started anew when addons were switched.

use std::collections::{BTreeMap, BTreeSet};

use config::{Config, Service};
use serde_yaml::Mapping;

use super::service::Running;

/// What enabled addons say of each service that they have a part in, in the order in which it holds.
pub type Parts = BTreeMap<String, Vec<Mapping>>;

/// The parts of the addons that are enabled.
pub fn parts(config: &Config) -> Parts {
    let mut parts = Parts::new();
    let enabled = config.enabled_addons.iter();
    for addon in enabled.flat_map(|name| config.addon(name)) {
        for (service, changes) in &addon.services {
            let part = parts.entry(service.clone()).or_default();
            part.push(changes.clone());
        }
    }
    parts
}

/// The services of which addons now say something else than before.
pub fn concerned(before: &Parts, now: &Parts) -> BTreeSet<String> {
    let names = before.keys().chain(now.keys());
    let changed = names.filter(|name| before.get(*name) != now.get(*name));
    changed.cloned().collect()
}

/// The services to start: what was not there before, what addons changed, and what an addon asks for
/// where another runs in its place. What else was changed waits for the next boot.
pub fn to_start(
    wanted: &BTreeMap<String, Service>,
    running: &BTreeMap<String, Running>,
    concerned: &BTreeSet<String>,
) -> BTreeSet<String> {
    let starts = wanted
        .iter()
        .filter(|(name, service)| match running.get(*name) {
            None => !service.disabled,
            Some(old) if old.stands_in => old.service != **service,
            Some(old) => concerned.contains(*name) && old.service != **service,
        });
    starts.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDONS: &str =
        "rancher.addons.clock.services.clock.image=x rancher.addons.watch.services.watch.image=x";

    fn config(more: &str) -> Config {
        config::from_cmdline(&format!("{ADDONS} {more}")).config
    }

    fn running(config: &Config) -> BTreeMap<String, Running> {
        let services = config.effective_services().into_iter();
        services
            .map(|(name, service)| (name, Running::of(service)))
            .collect()
    }

    /// What is started when the second configuration takes the place of the first.
    fn started(before: &Config, now: &Config) -> Vec<String> {
        let concerned = concerned(&parts(before), &parts(now));
        let wanted = now.effective_services();
        let started = to_start(&wanted, &running(before), &concerned);
        started.into_iter().collect()
    }

    #[test]
    fn addon_goes_on_when_another_is_disabled_and_the_environment_changed() {
        let before = config("rancher.enabledAddons=[clock,watch]");
        let now = config("rancher.enabledAddons=[clock] rancher.environment.COLOUR=blue");
        assert_eq!(started(&before, &now), Vec::<String>::new());
        let gone = concerned(&parts(&before), &parts(&now));
        assert_eq!(gone, BTreeSet::from(["watch".to_owned()]));
    }

    #[test]
    fn addon_is_started_when_it_is_enabled_or_says_something_else() {
        let before = config("rancher.enabledAddons=[clock]");
        let now = config("rancher.enabledAddons=[clock,watch]");
        assert_eq!(started(&before, &now), ["watch"]);
        let now = config(
            "rancher.enabledAddons=[clock] rancher.addons.clock.services.clock.command=[date]",
        );
        assert_eq!(started(&before, &now), ["clock"]);
    }

    #[test]
    fn addon_is_tried_again_when_another_stands_in_for_it() {
        let now = config("rancher.enabledAddons=[debian-console]");
        let mut running = running(&config(""));
        let started = |running: &_| to_start(&now.effective_services(), running, &BTreeSet::new());
        assert!(started(&running).is_empty());
        running.get_mut("console").unwrap().stands_in = true;
        assert_eq!(started(&running), BTreeSet::from(["console".to_owned()]));
    }
}

//! Which services to start when addons were enabled or disabled.

use std::collections::{BTreeMap, BTreeSet};

use config::{Config, Service};
use serde_yaml::Mapping;

use crate::service::Running;

/// The changes that enabled addons make to services, by service, in the order in which they apply.
pub(crate) type Parts = BTreeMap<String, Vec<Mapping>>;

/// The changes of the enabled addons.
pub(crate) fn parts(config: &Config) -> Parts {
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

/// The services whose changes by addons differ from before.
pub(crate) fn changed(before: &Parts, now: &Parts) -> BTreeSet<String> {
    let names = before.keys().chain(now.keys());
    let differing = names.filter(|name| before.get(*name) != now.get(*name));
    differing.cloned().collect()
}

/// The services to start: new ones, those that an addon changes, and those of an addon in whose place the
/// default service runs. Other changes take effect at the next boot.
pub(crate) fn to_start(
    wanted: &BTreeMap<String, Service>,
    running: &BTreeMap<String, Running>,
    changed: &BTreeSet<String>,
) -> BTreeSet<String> {
    let starts = wanted
        .iter()
        .filter(|(name, service)| match running.get(*name) {
            None => !service.disabled,
            Some(old) if old.is_fallback => old.service != **service,
            Some(old) => changed.contains(*name) && old.service != **service,
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

    /// The services that start when the second configuration replaces the first.
    fn started(before: &Config, now: &Config) -> Vec<String> {
        let changed = changed(&parts(before), &parts(now));
        let wanted = now.effective_services();
        let started = to_start(&wanted, &running(before), &changed);
        started.into_iter().collect()
    }

    #[test]
    fn to_start_skips_an_addon_when_only_the_environment_changed() {
        let before = config("rancher.enabledAddons=[clock,watch]");
        let now = config("rancher.enabledAddons=[clock] rancher.environment.COLOUR=blue");
        assert_eq!(started(&before, &now), Vec::<String>::new());
        let gone = changed(&parts(&before), &parts(&now));
        assert_eq!(gone, BTreeSet::from(["watch".to_owned()]));
    }

    #[test]
    fn to_start_includes_an_addon_when_it_is_enabled_or_changed() {
        let before = config("rancher.enabledAddons=[clock]");
        let now = config("rancher.enabledAddons=[clock,watch]");
        assert_eq!(started(&before, &now), ["watch"]);
        let now = config(
            "rancher.enabledAddons=[clock] rancher.addons.clock.services.clock.command=[date]",
        );
        assert_eq!(started(&before, &now), ["clock"]);
    }

    #[test]
    fn to_start_includes_an_addon_when_the_default_service_runs_in_its_place() {
        let now = config("rancher.enabledAddons=[debian-console]");
        let mut running = running(&config(""));
        let started = |running: &_| to_start(&now.effective_services(), running, &BTreeSet::new());
        assert!(started(&running).is_empty());
        running.get_mut("console").unwrap().is_fallback = true;
        assert_eq!(started(&running), BTreeSet::from(["console".to_owned()]));
    }
}

//! Addons: services that are not part of the machine until somebody asks for them, or that take the
//! place of one that is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use crate::engine::Warning;
use crate::fit::{self, nearest};
use crate::{Config, Service, merge};

/// What an addon brings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addon {
    /// By name, what is different from the service of that name where there is one.
    pub services: BTreeMap<String, Mapping>,
}

/// Services by name.
type Services = BTreeMap<String, Service>;

impl Config {
    /// The services as the enabled addons want them, and what had to be left out of that.
    pub(crate) fn services_with_addons(&self) -> (Services, Vec<Warning>) {
        let mut services = self.services.clone();
        let mut problems = Vec::new();
        for (item, name) in self.enabled_addons.iter().enumerate() {
            match self.addon(name).and_then(|addon| with(&services, addon)) {
                Ok(with) => services = with,
                Err(why) => {
                    let why = format!("{name}: {why}");
                    problems.push(Warning::new("enabledAddons", Some(item), why));
                }
            }
        }
        (services, problems)
    }

    /// An addon by its name.
    ///
    /// # Errors
    /// There is none; which there are.
    pub fn addon(&self, name: &str) -> Result<&Addon, String> {
        self.addons.get(name).ok_or_else(|| {
            let names: Vec<_> = self.addons.keys().map(String::as_str).collect();
            match nearest(name, &names) {
                Some(near) => format!("there is no addon `{name}`; did you mean `{near}`?"),
                None => format!("there is no addon `{name}`; there are {}", names.join(", ")),
            }
        })
    }

    /// The images of an addon's services.
    ///
    /// # Errors
    /// There is no such addon, or what it says makes no service.
    pub fn images_of_addon(&self, name: &str) -> Result<Vec<String>, String> {
        let addon = self.addon(name)?;
        let services = with(&self.services, addon)?;
        let images = addon.services.keys().filter_map(|name| services.get(name));
        Ok(images.map(|service| service.image.clone()).collect())
    }
}

fn with(services: &Services, addon: &Addon) -> Result<Services, String> {
    let mut services = services.clone();
    for (name, changes) in &addon.services {
        let told = |error: serde_yaml::Error| format!("services: {name}: {error}");
        let there = services.get(name).cloned().unwrap_or_default();
        let mut value = serde_yaml::to_value(there).map_err(told)?;
        merge(&mut value, &Value::Mapping(changes.clone()));
        let read = fit::read::<Service>(&value);
        let mut service = read.map_err(|misfit| format!("services: {name}: {misfit}"))?;
        if service.image.is_empty() {
            return Err(format!("services: {name}: it names no image"));
        }
        service.image = service.image.replace("${VERSION}", crate::VERSION);
        services.insert(name.clone(), service);
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use crate::layers::tests::config;

    #[test]
    fn an_addon_changes_a_service_only_where_it_says_so() {
        let config = config("enabledAddons: [debian-console]\n");
        let (services, usual) = (config.effective_services(), config.usual_services());
        let image = format!("rancher/os-debian-console:{}", crate::VERSION);
        assert_eq!(services["console"].image, image);
        assert_ne!(usual["console"].image, image);
        assert_eq!(services["console"].volumes, usual["console"].volumes);
        assert_eq!(services["syslog"], usual["syslog"]);
        assert_eq!(config.warnings(), []);
    }

    #[test]
    fn one_that_is_wrong_is_left_out_and_the_others_hold() {
        let config = config(
            "enabledAddons: [debian-consle, half, mine]\naddons: {half: {services: {x: {}}}, mine: {services: {y: {image: z}}}}\n",
        );
        let services = config.effective_services();
        assert_eq!(services["y"].image, "z");
        assert!(!services.contains_key("x"));
        let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "enabledAddons: debian-consle: there is no addon `debian-consle`; did you mean `debian-console`?",
                "enabledAddons: half: services: x: it names no image",
            ]
        );
    }
}

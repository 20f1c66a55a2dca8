//! The services of the enabled addons.

use std::collections::BTreeMap;

use serde_yaml::Value;

use crate::engine::Warning;
use crate::validate::{self, nearest};
use crate::{Addon, Config, Service, merge};

/// Services by name.
type Services = BTreeMap<String, Service>;

impl Config {
    /// The services with the enabled addons, and a warning for each addon that is ignored.
    pub(crate) fn services_with_addons(&self) -> (Services, Vec<Warning>) {
        let mut services = self.services.clone();
        let mut problems = Vec::new();
        for (item, name) in self.enabled_addons.iter().enumerate() {
            match self.addon(name).and_then(|addon| apply(&services, addon)) {
                Ok(applied) => services = applied,
                Err(error) => {
                    let message = format!("{name}: {error}");
                    problems.push(Warning::new("enabledAddons", Some(item), message));
                }
            }
        }
        (services, problems)
    }

    /// An addon by its name.
    ///
    /// # Errors
    /// There is no addon of that name; the message lists the addons or the nearest name.
    pub fn addon(&self, name: &str) -> Result<&Addon, String> {
        self.addons.get(name).ok_or_else(|| {
            let names: Vec<_> = self.addons.keys().map(String::as_str).collect();
            match nearest(name, &names) {
                Some(near) => format!("unknown addon `{name}`; hint: did you mean `{near}`?"),
                None => format!(
                    "unknown addon `{name}`; hint: use one of {}",
                    names.join(", ")
                ),
            }
        })
    }

    /// The images of an addon's services, and those that get a further name.
    ///
    /// # Errors
    /// There is no such addon, or the definition of one of its services is invalid.
    pub fn images_of_addon(&self, name: &str) -> Result<Vec<String>, String> {
        let addon = self.addon(name)?;
        let services = apply(&self.services, addon)?;
        let images = addon.services.keys().filter_map(|name| services.get(name));
        let images = images.map(|service| service.image.clone());
        Ok(images.chain(addon.tagged().into_values()).collect())
    }

    /// The further names of images of all enabled addons, each with its image.
    pub fn tags_of_enabled_addons(&self) -> BTreeMap<String, String> {
        let enabled = self.enabled_addons.iter();
        let addons = enabled.filter_map(|name| self.addons.get(name));
        addons.flat_map(Addon::tagged).collect()
    }
}

impl Addon {
    /// The further names of images, each with its image.
    pub fn tagged(&self) -> BTreeMap<String, String> {
        let tags = self.tags.iter();
        tags.map(|(tag, image)| (tag.clone(), expand(image)))
            .collect()
    }
}

/// Merges the services of an addon into a set of services.
fn apply(services: &Services, addon: &Addon) -> Result<Services, String> {
    let mut services = services.clone();
    for (name, changes) in &addon.services {
        let existing = services.get(name).cloned().unwrap_or_default();
        let mut value =
            serde_yaml::to_value(existing).map_err(|error| format!("services: {name}: {error}"))?;
        merge(&mut value, &Value::Mapping(changes.clone()));
        let mut service = validate::deserialize::<Service>(&value)
            .map_err(|error| format!("services: {name}: {error}"))?;
        if service.image.is_empty() {
            return Err(format!("services: {name}: no image; hint: set `image`"));
        }
        service.image = expand(&service.image);
        services.insert(name.clone(), service);
    }
    Ok(services)
}

/// The name of an image with the version of the OS.
fn expand(image: &str) -> String {
    image.replace("${VERSION}", crate::VERSION)
}

#[cfg(test)]
mod tests {
    use crate::layers::tests::config;

    #[test]
    fn addon_changes_only_the_keys_that_it_sets() {
        let config = config("enabledAddons: [debian-console]\n");
        let (services, default) = (config.effective_services(), config.default_services());
        let image = format!("rancher/os-debian-console:{}", crate::VERSION);
        assert_eq!(services["console"].image, image);
        assert_ne!(default["console"].image, image);
        assert_eq!(services["console"].volumes, default["console"].volumes);
        assert_eq!(services["syslog"], default["syslog"]);
        assert_eq!(config.warnings(), []);
    }

    #[test]
    fn images_of_an_addon_include_those_with_a_further_name() {
        let config = config("enabledAddons: [etcd, flannel]\n");
        let named = |name: &str| format!("rancher/os-{name}:{}", crate::VERSION);
        let images = config.images_of_addon("etcd").unwrap();
        assert_eq!(images, [named("etcd"), named("etcdctl")]);
        let tags: Vec<_> = config.tags_of_enabled_addons().into_iter().collect();
        assert_eq!(tags, [("etcdctl:latest".to_owned(), named("etcdctl"))]);
    }

    #[test]
    fn invalid_addon_is_ignored_and_the_others_apply() {
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
                "enabledAddons: debian-consle: unknown addon `debian-consle`; hint: did you mean `debian-console`?",
                "enabledAddons: half: services: x: no image; hint: set `image`",
            ]
        );
    }
}

//! Reading the configuration again and applying it to the running machine.

use config::Config;
use settings::{Missing, apply_sysctls, load_modules, set_hostname, set_timezone};
use sys::Linux;

use crate::shared::{Current, Shared};

/// Reads the configuration again, and applies kernel settings, registries, host name and time zone.
/// Services that start later use it, too.
pub(crate) async fn reload(shared: &Shared) {
    let (current, before) = shared.read_again();
    let (config, old) = (&current.config, &before.config);
    apply_kernel(shared, config, old);
    announce_next_boot(shared, &current, old);
    if config.hostname != old.hostname
        && let Err(error) = set_hostname(&mut Linux::default(), &config.hostname)
    {
        shared.failure("hostname", &error);
    }
    if config.timezone != old.timezone
        && let Err(error) = set_timezone(&mut Linux::default(), config.timezone.name())
    {
        shared.failure("timezone", &error);
    }
    if let Err(error) = shared.images.update_registries(config).await {
        shared.failure("registries", &error);
    }
    let known = old.warnings();
    for warning in config.warnings() {
        if !known.contains(&warning) {
            shared.print(&format!("rancher: {}", warning.placed(&current.layers)));
        }
    }
}

/// Loads new modules, and sets kernel settings if they changed.
fn apply_kernel(shared: &Shared, config: &Config, old: &Config) {
    let new = config
        .modules
        .iter()
        .filter(|one| !old.modules.contains(*one));
    let new: Vec<_> = new.cloned().collect();
    if let Err(error) = load_modules(&mut Linux::default(), &new) {
        shared.failure("modules", &error);
    }
    if config.sysctl != old.sysctl || !new.is_empty() {
        set_sysctls(shared, Missing::Skip);
    }
}

/// Sets kernel settings, and reports which cannot be set.
pub(crate) fn set_sysctls(shared: &Shared, missing: Missing) {
    let current = shared.current();
    for failed in apply_sysctls(&mut Linux::default(), &current.config.sysctl, missing) {
        shared.print(&format!("rancher: {}", failed.placed(&current.layers)));
    }
}

/// Reports changed keys that are read only when the machine boots.
fn announce_next_boot(shared: &Shared, current: &Current, old: &Config) {
    for key in changed_boot_keys(&current.config, old) {
        let location = config::location(&current.layers, &[key.to_owned()]);
        let location = location
            .map(|location| format!("{location}: "))
            .unwrap_or_default();
        shared.print(&format!(
            "rancher: {location}`{key}` takes effect at the next boot"
        ));
    }
}

fn changed_boot_keys(config: &Config, old: &Config) -> Vec<&'static str> {
    let changed = [
        ("cloud_init", config.cloud_init != old.cloud_init),
        (
            "system_docker_args",
            config.system_docker_args != old.system_docker_args,
        ),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(key, _)| key).collect()
}

/// Mounts the configured file systems in a thread of their own, and waits for the disks.
pub(crate) async fn mount_all(shared: &Shared) {
    let mounts = shared.current().config.mounts.clone();
    if mounts.is_empty() {
        return;
    }
    let mounted = tokio::task::spawn_blocking(move || mounts::mount_all(&mounts)).await;
    if let Err(error) = mounted {
        shared.failure("mounts", &error.to_string());
    }
}

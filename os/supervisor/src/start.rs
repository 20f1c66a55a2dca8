//! Starting services in the order of their dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::order::dependencies;
use crate::parts::{changed, parts, to_start};
use crate::renew;
use crate::service;
use crate::shared::Shared;

/// Starts services, each when its dependencies are up or have failed: a service that fails must not keep
/// people from the console.
pub(crate) async fn start_all(names: BTreeSet<String>, shared: &Rc<Shared>) {
    let current = shared.current();
    let (order, problems) = dependencies(&current.services);
    for problem in problems {
        shared.failure("services", &problem);
    }
    let enabled = names
        .iter()
        .filter(|name| !current.services[*name].disabled);
    shared.add_to_total(enabled.count());
    let channels: BTreeMap<&str, _> = names
        .iter()
        .map(|name| (name.as_str(), watch::channel(false)))
        .collect();
    let mut tasks = JoinSet::new();
    for name in &names {
        let dependencies: Vec<_> = order[name.as_str()]
            .iter()
            .filter_map(|other| Some(channels.get(other)?.1.clone()))
            .collect();
        let done = channels[name.as_str()].0.clone();
        let (name, shared) = (name.clone(), Rc::clone(shared));
        tasks.spawn_local(async move {
            for mut dependency in dependencies {
                // An error means that the other task has ended.
                let _ = dependency.wait_for(|up| *up).await;
            }
            renew::bring_up(&name, &shared).await;
            done.send_replace(true);
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Starts new services, removes those of disabled addons, and replaces those that an enabled or disabled
/// addon changes. Other changes take effect at the next boot.
pub(crate) async fn apply_addons(shared: &Rc<Shared>) {
    let _lock = shared.changing.lock().await;
    let current = shared.current();
    let wanted = &current.services;
    let parts = parts(&current.config);
    let changed = changed(&shared.parts.borrow(), &parts);
    shared.parts.replace(parts);
    for name in &changed {
        if wanted.get(name).is_none_or(|service| service.disabled) {
            service::remove(name, shared).await;
        }
    }
    let mut start = to_start(wanted, &shared.running.borrow(), &changed);
    start.retain(|name| !shared.down.borrow().contains(name));
    start_all(start, shared).await;
}

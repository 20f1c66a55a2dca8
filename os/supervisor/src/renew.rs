//! Restarts services that started before cloud-init had completed the configuration.

use std::collections::BTreeSet;
use std::rc::Rc;

use config::Service;

use crate::reload::{mount_all, reload};
use crate::service;
use crate::shared::Shared;

/// Brings a service up. Repeats it if the configuration of the service changed meanwhile.
pub(crate) async fn bring_up(name: &str, shared: &Rc<Shared>) {
    shared.starting.borrow_mut().insert(name.to_owned());
    let mut began: Option<Service> = None;
    loop {
        let current = shared.current();
        let Some(service) = current.services.get(name) else {
            break;
        };
        if began.as_ref() == Some(service) {
            break;
        }
        service::bring_up(name, service, shared).await;
        if service.reload_config() {
            reload(shared).await;
            // Services that start later may have their files on disks that cloud-init configured.
            mount_all(shared).await;
            // After the boot, changes take effect at the next boot.
            if shared.booting.get() {
                renew_changed(shared).await;
            }
            break;
        }
        began = Some(service.clone());
    }
    shared.starting.borrow_mut().remove(name);
}

/// Restarts services whose configuration changed since they started; no later service uses them yet.
/// Services that are just starting repeat their start themselves.
async fn renew_changed(shared: &Rc<Shared>) {
    let current = shared.current();
    let mut changed = BTreeSet::new();
    for (name, running) in &*shared.running.borrow() {
        if !running.is_fallback && differs(&running.service, current.services.get(name)) {
            changed.insert(name.clone());
        }
    }
    // A service that mounts the volumes of another one is restarted with it.
    loop {
        let running = shared.running.borrow();
        let depends = |name: &&String| {
            let service = current.services.get(*name);
            let mut volumes = service
                .into_iter()
                .flat_map(|service| &service.volumes_from);
            !changed.contains(*name) && volumes.any(|other| changed.contains(other))
        };
        let more: Vec<_> = running.keys().filter(depends).cloned().collect();
        if more.is_empty() {
            break;
        }
        changed.extend(more);
    }
    changed.retain(|name| !shared.starting.borrow().contains(name));
    let (volumes, others): (Vec<_>, Vec<_>) = changed.into_iter().partition(|name| {
        let service = current.services.get(name);
        service.is_some_and(Service::create_only)
    });
    // Their second start counts, too.
    shared.add_to_total(volumes.len() + others.len());
    for name in volumes.into_iter().chain(others) {
        match current.services.get(&name) {
            Some(service) if !service.disabled => service::bring_up(&name, service, shared).await,
            _ => service::remove(&name, shared).await,
        }
    }
}

/// Whether a service changed. The environment of one that never runs is ignored.
fn differs(old: &Service, new: Option<&Service>) -> bool {
    let Some(new) = new else { return true };
    let plain = |service: &Service| Service {
        environment: Vec::new(),
        ..service.clone()
    };
    if old.create_only() && new.create_only() {
        plain(old) != plain(new)
    } else {
        old != new
    }
}

//! What was started before cloud-init had said all that the configuration is, put anew in its place.

use std::collections::BTreeSet;
use std::rc::Rc;

use config::Service;

use super::{Shared, service};

/// Brings a service up as it is wanted when it is, which may be another one than when that began.
pub async fn bring_up(name: &str, shared: &Rc<Shared>) {
    shared.coming.borrow_mut().insert(name.to_owned());
    let mut began: Option<Service> = None;
    loop {
        let now = shared.now();
        let Some(service) = now.services.get(name) else {
            break;
        };
        if began.as_ref() == Some(service) {
            break;
        }
        service::bring_up(name, service, shared).await;
        if service.reload_config() {
            super::reload(shared).await;
            // A cloud may name disks; what comes after has its files there.
            super::mount_all(shared).await;
            // Later what was changed waits for the next boot.
            if shared.booting.get() {
                renew_changed(shared).await;
            }
            break;
        }
        began = Some(service.clone());
    }
    shared.coming.borrow_mut().remove(name);
}

/// Puts services anew in their places that were started before the configuration said what it does
/// now; nothing that comes after has looked at them yet. Those that are just coming look for themselves.
async fn renew_changed(shared: &Rc<Shared>) {
    let now = shared.now();
    let mut changed = BTreeSet::new();
    for (name, running) in &*shared.running.borrow() {
        if !running.stands_in && differs(&running.service, now.services.get(name)) {
            changed.insert(name.clone());
        }
    }
    // What has mounts of another one is another one, too.
    loop {
        let running = shared.running.borrow();
        let takes = |name: &&String| {
            let service = now.services.get(*name);
            let mut volumes = service
                .into_iter()
                .flat_map(|service| &service.volumes_from);
            !changed.contains(*name) && volumes.any(|other| changed.contains(other))
        };
        let more: Vec<_> = running.keys().filter(takes).cloned().collect();
        if more.is_empty() {
            break;
        }
        changed.extend(more);
    }
    changed.retain(|name| !shared.coming.borrow().contains(name));
    let (volumes, others): (Vec<_>, Vec<_>) = changed.into_iter().partition(|name| {
        let service = now.services.get(name);
        service.is_some_and(Service::create_only)
    });
    // They are counted again as they start again.
    let again = volumes.len() + others.len();
    shared.total.set(shared.total.get() + again);
    for name in volumes.into_iter().chain(others) {
        match now.services.get(&name) {
            Some(service) if !service.disabled => service::bring_up(&name, service, shared).await,
            _ => service::remove(&name, shared).await,
        }
    }
}

/// Whether a service is another one; one that never runs has no use for variables.
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

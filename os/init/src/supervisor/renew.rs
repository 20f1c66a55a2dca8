//! What was started before cloud-init had said all that the configuration is, put anew in its place.

use std::collections::BTreeSet;
use std::rc::Rc;

use config::Service;

use super::{Now, Shared, service};

/// Brings a service up as it is wanted when it is, which may be another one than when that began.
pub async fn bring_up(name: &str, shared: &Rc<Shared>) {
    let mut began: Option<Service> = None;
    loop {
        let now = shared.now();
        let Some(service) = now.services.get(name) else {
            return;
        };
        if began.as_ref() == Some(service) {
            return;
        }
        service::bring_up(name, service, shared).await;
        if service.reload_config() {
            let old = super::reload(shared).await;
            // A cloud may name disks; what comes after has its files there.
            super::mount_all(shared).await;
            return renew_changed(name, &old, shared).await;
        }
        began = Some(service.clone());
    }
}

/// Puts services anew in their places that were started before the configuration said what it does
/// now; nothing that comes after has looked at them yet.
async fn renew_changed(but: &str, old: &Now, shared: &Rc<Shared>) {
    let now = shared.now();
    let mut changed = BTreeSet::new();
    for name in shared.running.borrow().keys().filter(|name| *name != but) {
        if differs(old.services.get(name), now.services.get(name)) {
            changed.insert(name.clone());
        }
    }
    // What has mounts of another one is another one, too.
    let takes = |service: &Service, from: &BTreeSet<String>| {
        let mut volumes = service.volumes_from.iter();
        volumes.any(|other| from.contains(other))
    };
    let running = shared.running.borrow().keys().cloned().collect::<Vec<_>>();
    let with_mounts = running.into_iter().filter(|name| {
        let service = now.services.get(name);
        name != but && service.is_some_and(|service| takes(service, &changed))
    });
    let with_mounts: Vec<_> = with_mounts.collect();
    changed.extend(with_mounts);
    let (volumes, others): (Vec<_>, Vec<_>) = changed.into_iter().partition(|name| {
        let service = now.services.get(name);
        service.is_some_and(Service::create_only)
    });
    for name in volumes.into_iter().chain(others) {
        match now.services.get(&name) {
            Some(service) if !service.disabled => service::bring_up(&name, service, shared).await,
            _ => service::remove(&name, shared).await,
        }
    }
}

/// Whether a service is another one; one that never runs has no use for variables.
fn differs(old: Option<&Service>, new: Option<&Service>) -> bool {
    let (Some(old), Some(new)) = (old, new) else {
        return old.is_some() || new.is_some();
    };
    let plain = |service: &Service| Service {
        environment: Vec::new(),
        ..service.clone()
    };
    match old.create_only() && new.create_only() {
        true => plain(old) != plain(new),
        false => old != new,
    }
}

//! The life of one service: image, container, readiness, restarts.

use std::rc::Rc;
use std::time::Duration;

use config::Service;
use engines::within;
use sys::report::Event;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::shared::Shared;
use crate::{pulls, ready};

/// The timeout for a service to be ready; then the boot goes on without it.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// The first delay before a service is restarted; doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// The longest delay before a restart.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// A service that was started.
pub(crate) struct Running {
    /// The service, or the default service if an addon's does not work.
    pub service: Service,
    /// Whether it is the default service in place of an addon's.
    pub is_fallback: bool,
    /// The error, if the service did not start.
    pub error: Option<String>,
    /// The task that restarts it.
    watcher: Option<AbortHandle>,
}

impl Running {
    fn watcher(&self) -> Option<&AbortHandle> {
        self.watcher.as_ref()
    }

    /// A service that runs as configured.
    #[cfg(test)]
    pub(crate) fn of(service: Service) -> Self {
        Self {
            service,
            is_fallback: false,
            error: None,
            watcher: None,
        }
    }
}

/// Starts a service and keeps it running. A service of that name that runs is replaced when the image of
/// the new one is there. Does not wait for an image that must be pulled.
pub(crate) async fn bring_up(name: &str, service: &Service, shared: &Rc<Shared>) {
    if service.disabled {
        return;
    }
    bring_up_as(name, service, false, shared).await;
}

async fn bring_up_as(name: &str, service: &Service, is_fallback: bool, shared: &Rc<Shared>) {
    match shared.images.provide(&service.image).await {
        Ok(true) => replace(name, service, is_fallback, shared).await,
        Ok(false) => {
            let image = &service.image;
            shared.print(&format!("rancher: {name}: pulling {image}"));
            let runs = shared.running.borrow().contains_key(name);
            if let Some(default) = default_service(name, service, shared).filter(|_| !runs) {
                Box::pin(bring_up_as(name, &default, true, shared)).await;
            }
            if shared.pulls.begin(name, service) {
                let (name, service, shared) = (name.to_owned(), service.clone(), Rc::clone(shared));
                tokio::task::spawn_local(async move {
                    pull(&name, &service, &shared).await;
                    shared.pulls.end(&name, &service);
                });
            }
        }
        Err(error) => shared.failure(name, &error),
    }
}

/// Stops a service and removes its container.
pub(crate) async fn stop(name: &str, shared: &Shared) {
    if let Some(watcher) = shared.running.borrow().get(name).and_then(Running::watcher) {
        watcher.abort();
    }
    // If it does not stop, removing kills it.
    let _ = shared.containers.stop(name).await;
    remove(name, shared).await;
}

/// Removes a service and its container.
pub(crate) async fn remove(name: &str, shared: &Shared) {
    let old = shared.running.borrow_mut().remove(name);
    let Some(old) = old else { return };
    if let Some(watcher) = old.watcher() {
        watcher.abort();
    }
    if let Err(error) = shared.containers.remove(name).await {
        shared.failure(name, &error);
    }
}

/// Replaces the service of a name by another one and keeps it running.
async fn replace(name: &str, service: &Service, is_fallback: bool, shared: &Rc<Shared>) {
    remove(name, shared).await;
    let error = start(name, service, shared).await.err();
    let mut default = None;
    match &error {
        None => shared.report.borrow_mut().event(&Event::ok(name)),
        Some(error) => {
            shared.failure(name, error);
            default = fall_back(name, service, shared).await;
        }
    }
    let is_fallback = is_fallback || default.is_some();
    let runs = default.unwrap_or_else(|| service.clone());
    let watcher = (runs.detach() && !runs.create_only()).then(|| {
        let (name, service, shared) = (name.to_owned(), runs.clone(), Rc::clone(shared));
        let watch = async move { keep_running(&name, service, &shared).await };
        tokio::task::spawn_local(watch).abort_handle()
    });
    let runs = Running {
        service: runs,
        is_fallback,
        error,
        watcher,
    };
    shared.running.borrow_mut().insert(name.into(), runs);
}

/// The service as it would be without addons, if an addon changes it.
fn default_service(name: &str, service: &Service, shared: &Shared) -> Option<Service> {
    let default = shared.current().config.default_services().remove(name);
    default.filter(|default| default != service && !default.disabled)
}

/// Starts the default service in place of an addon's that does not work, and returns it: a broken console
/// must not lock people out. Returns `None` if no addon changes the service.
async fn fall_back(name: &str, service: &Service, shared: &Shared) -> Option<Service> {
    let default = default_service(name, service, shared)?;
    shared.print(&format!(
        "rancher: {name}: falling back to the default service"
    ));
    let started = async {
        shared.containers.remove(name).await?;
        shared.images.provide(&default.image).await?;
        start(name, &default, shared).await
    };
    match started.await {
        Ok(()) => shared.report.borrow_mut().event(&Event::ok(name)),
        Err(error) => shared.failure(name, &error),
    }
    Some(default)
}

/// Creates a service's container, unless it exists, starts it, and waits until it is ready or, if it is to
/// exit by itself, until it has exited.
async fn start(name: &str, service: &Service, shared: &Shared) -> Result<(), String> {
    shared.started.set(shared.started.get() + 1);
    let (number, total) = (shared.started.get(), shared.total.get());
    shared.print(&format!("Running [{number}/{}] {name}", total.max(number)));
    shared.containers.create(name, service).await?;
    if service.create_only() {
        return Ok(());
    }
    shared.containers.start(name).await?;
    if !service.detach() {
        return match within(READY_TIMEOUT, shared.containers.wait(name)).await?? {
            0 => Ok(()),
            code => Err(exit_error(name, code, shared).await),
        };
    }
    let Some((kind, value)) = service.ready() else {
        return Ok(());
    };
    // A container that has exited does not become ready.
    tokio::select! {
        ready = ready::wait(kind, value, READY_TIMEOUT) => ready,
        code = shared.containers.wait(name) => Err(exit_error(name, code?, shared).await),
    }
}

/// The error of a container that exited, with the last line of its log.
async fn exit_error(name: &str, code: i64, shared: &Shared) -> String {
    let last = match shared.containers.last_log_line(name).await {
        Some(line) => format!(": {line}"),
        None => String::new(),
    };
    format!("exited with status {code}{last}; hint: see `sudo system-docker logs {name}`")
}

/// Retries to pull a service's image until it succeeds, and starts the service, if it is still wanted
/// then.
async fn pull(name: &str, service: &Service, shared: &Rc<Shared>) {
    let mut log = pulls::FailureLog::default();
    for delay in pulls::delays() {
        let runs = Some(service) == shared.running.borrow().get(name).map(|one| &one.service);
        if shared.current().services.get(name) != Some(service) || runs {
            return;
        }
        match shared.images.pull(&service.image).await {
            Ok(()) => {
                shared.add_to_total(1);
                return replace(name, service, false, shared).await;
            }
            Err(error) => {
                if let Some(line) = log.message(&error, delay) {
                    shared.print(&format!("rancher: {name}: {line}"));
                }
            }
        }
        tokio::time::sleep(delay).await;
    }
}

/// Restarts a service whenever it exits. If it exits repeatedly the default service takes its place. If it
/// is the default service, its restarts are reported only until the longest delay is reached: people work
/// on the console.
async fn keep_running(name: &str, mut service: Service, shared: &Shared) {
    let mut delay = FIRST_DELAY;
    loop {
        let since = Instant::now();
        let exited = shared.containers.wait(name).await;
        let steady = since.elapsed() > MAX_DELAY;
        if steady {
            delay = FIRST_DELAY;
        }
        // A container that somebody removed is not recreated before the next boot.
        let Ok(code) = exited else { return };
        let print = |line: String| {
            if delay < MAX_DELAY {
                shared.print(&line);
            }
        };
        print(format!(
            "rancher: {name} exited with status {code}; restarting it"
        ));
        // `docker restart` starts the old container of an ephemeral service again, which is replaced
        // without a delay, so that nobody works in it.
        if !(service.ephemeral() && steady) {
            tokio::time::sleep(delay).await;
        }
        let restarted = restart(name, &service, shared).await;
        if let Err(error) = &restarted {
            print(format!("rancher: {name}: {error}"));
        }
        let is_failing = delay * 2 >= MAX_DELAY;
        if (is_failing || restarted.is_err())
            && let Some(default) = fall_back(name, &service, shared).await
        {
            if let Some(running) = shared.running.borrow_mut().get_mut(name) {
                running.service = default.clone();
                running.is_fallback = true;
            }
            (service, delay) = (default, FIRST_DELAY);
            continue;
        }
        if is_failing {
            let seconds = MAX_DELAY.as_secs();
            print(format!(
                "rancher: {name} exits repeatedly; restarting it every {seconds} s from now on"
            ));
        }
        delay = (delay * 2).min(MAX_DELAY);
    }
}

async fn restart(name: &str, service: &Service, shared: &Shared) -> Result<(), String> {
    if service.ephemeral() {
        shared.containers.recreate(name, service).await?;
    }
    shared.containers.start(name).await
}

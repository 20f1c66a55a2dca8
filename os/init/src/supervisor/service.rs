//! One service, from its image to its end, and again.

use std::rc::Rc;
use std::time::Duration;

use config::Service;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{Shared, pulls, wait};
use crate::report::Event;

/// How long a service may take until it is ready, before the boot goes on without it.
const SERVICE_LIMIT: Duration = Duration::from_secs(120);

/// The first wait before a service that ended is started again; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is in the place of a service.
pub struct Running {
    /// The service, or the usual one where an addon's cannot be had.
    pub service: Service,
    /// Whether it is the usual one, in the place of an addon's.
    pub stands_in: bool,
    /// Why the service that was asked for did not start.
    pub failed: Option<String>,
    /// Who starts it again.
    watcher: Option<AbortHandle>,
}

impl Running {
    fn watcher(&self) -> Option<&AbortHandle> {
        self.watcher.as_ref()
    }

    /// One that runs as it was asked for.
    #[cfg(test)]
    pub fn of(service: Service) -> Self {
        Self {
            service,
            stands_in: false,
            failed: None,
            watcher: None,
        }
    }
}

/// Puts a service in its place, and watches over it. What runs there goes on until there is an image
/// for the new one; one that must be pulled is not waited for.
pub async fn bring_up(name: &str, service: &Service, shared: &Rc<Shared>) {
    if service.disabled {
        return;
    }
    bring(name, service, false, shared).await;
}

async fn bring(name: &str, service: &Service, stands_in: bool, shared: &Rc<Shared>) {
    match shared.images.provide(&service.image).await {
        Ok(true) => put(name, service, stands_in, shared).await,
        Ok(false) => {
            let image = &service.image;
            shared.say(&format!(
                "rancher: {name}: {image} is not here; it is pulled"
            ));
            let runs = shared.running.borrow().contains_key(name);
            if let Some(usual) = usual(name, service, shared).filter(|_| !runs) {
                Box::pin(bring(name, &usual, true, shared)).await;
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

/// Asks what is in the place of a service to end, and removes it.
pub async fn stop(name: &str, shared: &Shared) {
    if let Some(watcher) = shared.running.borrow().get(name).and_then(Running::watcher) {
        watcher.abort();
    }
    // One that does not stop is killed when it is removed.
    let _ = shared.containers.stop(name).await;
    remove(name, shared).await;
}

/// Ends what is in the place of a service, for good.
pub async fn remove(name: &str, shared: &Shared) {
    let old = shared.running.borrow_mut().remove(name);
    let Some(old) = old else { return };
    if let Some(watcher) = old.watcher() {
        watcher.abort();
    }
    if let Err(error) = shared.containers.remove(name).await {
        shared.failure(name, &error);
    }
}

async fn put(name: &str, service: &Service, stands_in: bool, shared: &Rc<Shared>) {
    remove(name, shared).await;
    let failed = start(name, service, shared).await.err();
    let mut usual = None;
    match &failed {
        None => shared.report.borrow_mut().event(&Event::ok(name)),
        Some(error) => {
            shared.failure(name, error);
            usual = give_way(name, service, shared).await;
        }
    }
    let stands_in = stands_in || usual.is_some();
    let runs = usual.unwrap_or_else(|| service.clone());
    let watcher = (runs.detach() && !runs.create_only()).then(|| {
        let (name, service, shared) = (name.to_owned(), runs.clone(), Rc::clone(shared));
        let watch = async move { watch_over(&name, service, &shared).await };
        tokio::task::spawn_local(watch).abort_handle()
    });
    let runs = Running {
        service: runs,
        stands_in,
        failed,
        watcher,
    };
    shared.running.borrow_mut().insert(name.into(), runs);
}

/// The service as it would be without addons, where one made it another.
fn usual(name: &str, service: &Service, shared: &Shared) -> Option<Service> {
    let usual = shared.now().config.default_services().remove(name);
    usual.filter(|usual| usual != service && !usual.disabled)
}

/// Puts the usual service in the place of an addon's that does not work, and returns it: nobody must
/// be locked out by a console. There is none where no addon made it another.
async fn give_way(name: &str, service: &Service, shared: &Shared) -> Option<Service> {
    let usual = usual(name, service, shared)?;
    shared.say(&format!("rancher: {name}: the usual one takes its place"));
    let placed = async {
        shared.containers.remove(name).await?;
        shared.images.provide(&usual.image).await?;
        start(name, &usual, shared).await
    };
    match placed.await {
        Ok(()) => shared.report.borrow_mut().event(&Event::ok(name)),
        Err(error) => shared.failure(name, &error),
    }
    Some(usual)
}

/// Makes a service's container, unless it is there, starts it, and waits until it is what it should be.
async fn start(name: &str, service: &Service, shared: &Shared) -> Result<(), String> {
    shared.started.set(shared.started.get() + 1);
    let (number, total) = (shared.started.get(), shared.total.get());
    shared.say(&format!("Running [{number}/{}] {name}", total.max(number)));
    shared.containers.create(name, service).await?;
    if service.create_only() {
        return Ok(());
    }
    shared.containers.start(name).await?;
    if !service.detach() {
        return match wait::within(SERVICE_LIMIT, shared.containers.ended(name)).await?? {
            0 => Ok(()),
            code => Err(why_ended(name, code, shared).await),
        };
    }
    let Some((kind, what)) = service.ready() else {
        return Ok(());
    };
    // Whichever comes first: a container that has ended will not get ready.
    tokio::select! {
        ready = wait::for_ready(kind, what, SERVICE_LIMIT) => ready,
        ended = shared.containers.ended(name) => Err(why_ended(name, ended?, shared).await),
    }
}

/// How a container ended that should not have, and the last that it said.
async fn why_ended(name: &str, code: i64, shared: &Shared) -> String {
    let said = match shared.containers.last_words(name).await {
        Some(words) => format!(" and said: {words}"),
        None => String::new(),
    };
    format!("it ended with status {code}{said}; see `sudo system-docker logs {name}`")
}

/// Pulls a service's image, however long that takes, and puts the service in its place, if it is
/// still wanted then.
async fn pull(name: &str, service: &Service, shared: &Rc<Shared>) {
    let mut told = pulls::Told::default();
    for wait in pulls::waits() {
        let runs = || Some(service) == shared.running.borrow().get(name).map(|one| &one.service);
        if shared.now().services.get(name) != Some(service) || runs() {
            return;
        }
        match shared.images.pull(&service.image).await {
            Ok(()) => {
                shared.total.set(shared.total.get() + 1);
                return put(name, service, false, shared).await;
            }
            Err(error) => {
                if let Some(line) = told.of(&error, wait) {
                    shared.say(&format!("rancher: {name}: {line}"));
                }
            }
        }
        tokio::time::sleep(wait).await;
    }
}

/// Starts a service again whenever it has ended. One that ends again and again gives way to the usual
/// one; where it is the usual one it is told of until it is tried no more often: the console is there to
/// be worked on.
async fn watch_over(name: &str, mut service: Service, shared: &Shared) {
    let mut wait = FIRST_WAIT;
    loop {
        let since = Instant::now();
        let ended = shared.containers.ended(name).await;
        let steady = since.elapsed() > LONGEST_WAIT;
        if steady {
            wait = FIRST_WAIT;
        }
        // A container that somebody removed stays away until the next boot.
        let Ok(code) = ended else { return };
        let say = |line: String| {
            if wait < LONGEST_WAIT {
                shared.say(&line);
            }
        };
        say(format!(
            "rancher: {name} ended with status {code}; it is started again"
        ));
        // Whoever restarts what is to be new starts the old one once more: nobody should get used to it.
        if !(service.ephemeral() && steady) {
            tokio::time::sleep(wait).await;
        }
        let again = start_again(name, &service, shared).await;
        if let Err(error) = &again {
            say(format!("rancher: {name}: {error}"));
        }
        let often = wait * 2 >= LONGEST_WAIT;
        if (often || again.is_err())
            && let Some(usual) = give_way(name, &service, shared).await
        {
            if let Some(running) = shared.running.borrow_mut().get_mut(name) {
                running.service = usual.clone();
                running.stands_in = true;
            }
            (service, wait) = (usual, FIRST_WAIT);
            continue;
        }
        if often {
            let seconds = LONGEST_WAIT.as_secs();
            say(format!(
                "rancher: {name} ends again and again; from now on it is tried every {seconds} s"
            ));
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn start_again(name: &str, service: &Service, shared: &Shared) -> Result<(), String> {
    if service.ephemeral() {
        shared.containers.renew(name, service).await?;
    }
    shared.containers.start(name).await
}

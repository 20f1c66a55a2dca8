//! The supervisor: brings up the system containers in the order of their dependencies, through the
//! Docker API, and starts again what ends.
//!
//! It may itself end and be started again by the keeper at any time: containers of this boot that
//! run are left alone, those of an earlier boot are removed.

mod container;
mod images;
mod order;
pub(crate) mod wait;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use config::{Config, Service};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use crate::report::{Event, Report};
use crate::sys::Linux;
use container::Containers;
use images::Images;

/// How long an engine may take until it answers.
const ENGINE_LIMIT: Duration = Duration::from_secs(120);

/// How long a service may take until it is ready, before the boot goes on without it.
const SERVICE_LIMIT: Duration = Duration::from_secs(120);

/// What the tasks of the services share.
struct Shared {
    containers: Containers,
    images: Images,
    /// What holds now, for what is not started yet.
    config: std::cell::RefCell<Config>,
    report: std::cell::RefCell<Report>,
    total: usize,
    started: std::cell::Cell<usize>,
}

/// Brings the machine up, and watches over it until it ends.
pub fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(LocalSet::new().run_until(supervise())),
        Err(error) => Err(error.to_string()),
    };
    let Err(error) = ended else {
        return ExitCode::SUCCESS;
    };
    Report::new().failure("supervisor", &error, false);
    ExitCode::FAILURE
}

/// Fails when system-docker does not answer, or cannot tell which containers it has.
async fn supervise() -> Result<(), String> {
    let mut report = Report::new();
    let docker = wait::for_docker(crate::SYSTEM_DOCKER, ENGINE_LIMIT).await?;
    report.event(&Event::ok("system-docker"));
    let mut config = config::load_machine().config;
    config.services = config.effective_services();
    let images = Images::new(docker.clone());
    // All others are made from this one.
    match images.load_base().await {
        Ok(()) => report.event(&Event::ok("images")),
        Err(error) => report.failure("images", &error, false),
    }
    let containers = Containers::open(docker).await?;
    let shared = Rc::new(Shared {
        containers,
        images,
        config: config.clone().into(),
        report: report.into(),
        total: enabled(&config).count(),
        started: 0.into(),
    });
    start_all(&config, &shared).await;
    say_started(&mut shared.report.borrow_mut());
    std::future::pending().await
}

/// The services that are started.
fn enabled(config: &Config) -> impl Iterator<Item = &Service> {
    config.services.values().filter(|service| !service.disabled)
}

/// Starts every service when those before it are up, or have failed: one that does not come up must
/// not keep people from the console.
async fn start_all(config: &Config, shared: &Rc<Shared>) {
    let (order, problems) = order::dependencies(&config.services);
    for problem in problems {
        shared
            .report
            .borrow_mut()
            .failure("services", &problem, false);
    }
    let channels: BTreeMap<&str, _> = config
        .services
        .keys()
        .map(|name| (name.as_str(), watch::channel(false)))
        .collect();
    let mut tasks = JoinSet::new();
    for name in config.services.keys() {
        let before: Vec<_> = order[name.as_str()]
            .iter()
            .map(|other| channels[other].1.clone())
            .collect();
        let done = channels[name.as_str()].0.clone();
        let (name, shared) = (name.clone(), Rc::clone(shared));
        tasks.spawn_local(async move {
            for mut other in before {
                // An error means that the other task is gone, which is an end too.
                let _ = other.wait_for(|up| *up).await;
            }
            let service = shared.config.borrow().services.get(&name).cloned();
            if let Some(service) = service {
                bring_up(&name, &service, &shared).await;
            }
            done.send_replace(true);
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn bring_up(name: &str, service: &Service, shared: &Rc<Shared>) {
    if service.disabled {
        return;
    }
    match start(name, service, shared).await {
        Ok(()) => shared.report.borrow_mut().event(&Event::ok(name)),
        Err(error) => shared.report.borrow_mut().failure(name, &error, false),
    }
    if service.reload_config() {
        reload(shared);
    }
    if service.detach() && !service.create_only() {
        let (name, service, shared) = (name.to_owned(), service.clone(), Rc::clone(shared));
        tokio::task::spawn_local(async move { watch_over(&name, &service, &shared).await });
    }
}

/// Reads the configuration again, which was changed: for what comes after, and for the machine's name.
fn reload(shared: &Shared) {
    let mut config = config::load_machine().config;
    config.services = config.effective_services();
    if config.hostname != shared.config.borrow().hostname
        && let Err(error) = crate::stages::call(&mut Linux::default(), &config.hostname)
    {
        shared
            .report
            .borrow_mut()
            .failure("hostname", &error, false);
    }
    shared.config.replace(config);
}

async fn start(name: &str, service: &Service, shared: &Shared) -> Result<(), String> {
    shared.started.set(shared.started.get() + 1);
    let line = format!("Running [{}/{}] {name}", shared.started.get(), shared.total);
    shared.report.borrow_mut().say(&line);
    shared.images.load(&service.image).await?;
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

/// The first wait before a service that ended is started again; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Starts a service again whenever it has ended. One that ends again and again is told of until it is
/// tried no more often: the console is there to be worked on.
async fn watch_over(name: &str, service: &Service, shared: &Shared) {
    let mut wait = FIRST_WAIT;
    loop {
        let since = tokio::time::Instant::now();
        let ended = shared.containers.ended(name).await;
        let steady = since.elapsed() > LONGEST_WAIT;
        if steady {
            wait = FIRST_WAIT;
        }
        // A container that somebody removed stays away until the next boot.
        let Ok(code) = ended else { return };
        let say = |line: String| {
            if wait < LONGEST_WAIT {
                shared.report.borrow_mut().say(&line);
            }
        };
        say(format!(
            "rancher: {name} ended with status {code}; it is started again"
        ));
        // Whoever restarts what is to be new starts the old one once more: nobody should get used to it.
        if !(service.ephemeral() && steady) {
            tokio::time::sleep(wait).await;
        }
        if let Err(error) = start_again(name, service, shared).await {
            say(format!("rancher: {name}: {error}"));
        }
        if wait * 2 >= LONGEST_WAIT {
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

fn say_started(report: &mut Report) {
    report.say(&format!("RancherOS {} started", config::VERSION));
    report.event(&Event {
        version: Some(config::VERSION),
        ..Event::ok("started")
    });
}

//! The supervisor: brings up the system containers in the order of their dependencies, through the
//! Docker API, and starts again what ends. When it is told to (SIGHUP) it puts what addons that were
//! switched ask for in the place of what runs.
//!
//! It may itself end and be started again by the keeper at any time: containers of this boot that
//! run are left alone, those of an earlier boot are removed.

mod changes;
mod container;
mod images;
mod missed;
mod networks;
mod order;
mod pulls;
mod renew;
mod requests;
mod service;
pub(crate) mod wait;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use config::{Config, Layer, Service};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::mounts;
use crate::report::{Event, Report};
use crate::stages::sysctl;
use crate::sys::Linux;
use changes::Parts;
use container::Containers;
use images::Images;
use pulls::Pulls;
use service::Running;

/// How long an engine may take until it answers.
const ENGINE_LIMIT: Duration = Duration::from_secs(120);

/// The configuration, and the services that come of it: made once, for all that ask.
struct Now {
    config: Config,
    layers: Vec<Layer>,
    services: BTreeMap<String, Service>,
}

impl Now {
    fn read() -> Rc<Self> {
        let config::Loaded { config, layers, .. } = config::load_machine();
        let services = config.effective_services();
        Rc::new(Self {
            config,
            layers,
            services,
        })
    }
}

/// What the tasks of the services share.
struct Shared {
    containers: Containers,
    images: Images,
    pulls: Pulls,
    /// What holds now, for what is not started yet.
    now: RefCell<Rc<Now>>,
    report: RefCell<Report>,
    /// What is in the place of each service that was brought up.
    running: RefCell<BTreeMap<String, Running>>,
    /// What enabled addons said of services when last looked at.
    parts: RefCell<Parts>,
    /// Services that somebody ended until the next boot, or until they are asked for again.
    down: RefCell<BTreeSet<String>>,
    /// Services that are being brought up.
    coming: RefCell<BTreeSet<String>>,
    /// Whether the boot goes on.
    booting: Cell<bool>,
    /// Held by whoever puts services in the place of others.
    changing: Mutex<()>,
    total: Cell<usize>,
    started: Cell<usize>,
}

impl Shared {
    fn say(&self, text: &str) {
        self.report.borrow_mut().say(text);
    }

    fn failure(&self, stage: &str, error: &str) {
        self.report.borrow_mut().failure(stage, error, false);
    }

    /// What holds at this moment, to be looked at for longer.
    fn now(&self) -> Rc<Now> {
        Rc::clone(&self.now.borrow())
    }
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
    let docker = wait::for_docker(config::SYSTEM_DOCKER, ENGINE_LIMIT).await?;
    report.event(&Event::ok("system-docker"));
    let mut hangups = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    let me = std::process::id().to_string();
    std::fs::write(config::SUPERVISOR_PID, me)
        .map_err(|error| format!("{}: {error}", config::SUPERVISOR_PID))?;
    let now = Now::read();
    let images = Images::new(docker.clone());
    // All others are made from this one.
    match images.load_base().await {
        Ok(()) => report.event(&Event::ok("images")),
        Err(error) => report.failure("images", &error, false),
    }
    let containers = Containers::open(docker).await?;
    let all = now.services.keys().cloned().collect();
    let shared = Rc::new(Shared {
        containers,
        images,
        pulls: Pulls::default(),
        parts: changes::parts(&now.config).into(),
        down: RefCell::default(),
        coming: RefCell::default(),
        booting: true.into(),
        changing: Mutex::default(),
        now: now.into(),
        report: report.into(),
        running: RefCell::default(),
        total: 0.into(),
        started: 0.into(),
    });
    tokio::task::spawn_local(missed::watch(Rc::clone(&shared)));
    tokio::task::spawn_local(networks::watch(Rc::clone(&shared)));
    start_all(all, &shared).await;
    // Also those that came with what was started.
    set_kernel(&shared, sysctl::Missing::Fault);
    say_started(&mut shared.report.borrow_mut());
    shared.booting.set(false);
    tokio::task::spawn_local(requests::answer_all(Rc::clone(&shared)));
    loop {
        // At first what cloud-init asked for that was not there before.
        switch(&shared).await;
        if hangups.recv().await.is_none() {
            return std::future::pending().await;
        }
        reload(&shared).await;
    }
}

/// Starts services, each when those before it are up, or have failed: one that does not come up must
/// not keep people from the console.
async fn start_all(names: BTreeSet<String>, shared: &Rc<Shared>) {
    let now = shared.now();
    let (order, problems) = order::dependencies(&now.services);
    for problem in problems {
        shared.failure("services", &problem);
    }
    let enabled = names.iter().filter(|name| !now.services[*name].disabled);
    shared.total.set(shared.total.get() + enabled.count());
    let channels: BTreeMap<&str, _> = names
        .iter()
        .map(|name| (name.as_str(), watch::channel(false)))
        .collect();
    let mut tasks = JoinSet::new();
    for name in &names {
        let before: Vec<_> = order[name.as_str()]
            .iter()
            .filter_map(|other| Some(channels.get(other)?.1.clone()))
            .collect();
        let done = channels[name.as_str()].0.clone();
        let (name, shared) = (name.clone(), Rc::clone(shared));
        tasks.spawn_local(async move {
            for mut other in before {
                // An error means that the other task is gone, which is an end too.
                let _ = other.wait_for(|up| *up).await;
            }
            renew::bring_up(&name, &shared).await;
            done.send_replace(true);
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Sets kernel settings, and tells which cannot be set.
fn set_kernel(shared: &Shared, missing: sysctl::Missing) {
    let now = shared.now();
    for failed in sysctl::apply(&mut Linux::default(), &now.config.sysctl, missing) {
        shared.say(&format!("rancher: {}", failed.placed(&now.layers)));
    }
}

/// What of a change is read only when the machine, or who asks the datasources, starts.
fn from_next_boot(now: &Config, old: &Config) -> Vec<&'static str> {
    let changed = [
        ("cloud_init", now.cloud_init != old.cloud_init),
        (
            "system_docker_args",
            now.system_docker_args != old.system_docker_args,
        ),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(key, _)| key).collect()
}

/// Reads the configuration again, which was changed: for what comes after, for the kernel, for the
/// engines, and for the machine's name and time zone.
async fn reload(shared: &Shared) {
    let now = Now::read();
    let before = shared.now.replace(Rc::clone(&now));
    let (config, old) = (&now.config, &before.config);
    let more = config
        .modules
        .iter()
        .filter(|one| !old.modules.contains(*one));
    let more: Vec<_> = more.cloned().collect();
    if let Err(error) = crate::stages::load_modules(&mut Linux::default(), &more) {
        shared.failure("modules", &error);
    }
    if config.sysctl != old.sysctl || !more.is_empty() {
        set_kernel(shared, sysctl::Missing::Later);
    }
    for key in from_next_boot(config, old) {
        let place = config::location(&now.layers, &[key.to_owned()]);
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        shared.say(&format!("rancher: {place}`{key}` holds from the next boot"));
    }
    if config.hostname != old.hostname
        && let Err(error) = crate::stages::call(&mut Linux::default(), &config.hostname)
    {
        shared.failure("hostname", &error);
    }
    if config.timezone != old.timezone
        && let Err(error) =
            crate::stages::set_timezone(&mut Linux::default(), config.timezone.name())
    {
        shared.failure("timezone", &error);
    }
    if let Err(error) = shared.images.tell_registries(config).await {
        shared.failure("registries", &error);
    }
    let known = old.warnings();
    for warning in config.warnings() {
        if !known.contains(&warning) {
            shared.say(&format!("rancher: {}", warning.placed(&now.layers)));
        }
    }
}

/// Mounts what the configuration says, beside what else goes on.
async fn mount_all(shared: &Shared) {
    let mounts = shared.now().config.mounts.clone();
    if mounts.is_empty() {
        return;
    }
    let mounted = tokio::task::spawn_blocking(move || mounts::mount_all(&mounts)).await;
    if let Err(error) = mounted {
        shared.failure("mounts", &error.to_string());
    }
}

/// Puts what is wanted now in the place of what runs, where an addon that was switched has a part in
/// it, and starts what was not there before. All else that was changed waits for the next boot.
async fn switch(shared: &Rc<Shared>) {
    let _alone = shared.changing.lock().await;
    let now = shared.now();
    let wanted = &now.services;
    let parts = changes::parts(&now.config);
    let concerned = changes::concerned(&shared.parts.borrow(), &parts);
    shared.parts.replace(parts);
    for name in &concerned {
        if wanted.get(name).is_none_or(|service| service.disabled) {
            service::remove(name, shared).await;
        }
    }
    let mut start = changes::to_start(wanted, &shared.running.borrow(), &concerned);
    start.retain(|name| !shared.down.borrow().contains(name));
    start_all(start, shared).await;
}

fn say_started(report: &mut Report) {
    report.say(&format!("RancherOS {} started", config::VERSION));
    report.event(&Event {
        version: Some(config::VERSION),
        ..Event::ok("started")
    });
}

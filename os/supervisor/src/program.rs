//! The program: brings the machine up, and supervises it until it ends.

use std::process::ExitCode;
use std::rc::Rc;

use settings::Missing;
use sys::report::{Event, Report};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::container::Containers;
use crate::images::Images;
use crate::reload::{reload, set_sysctls};
use crate::shared::{Current, ENGINE_TIMEOUT, Shared};
use crate::start::{apply_addons, start_all};
use crate::{missed_exits, networks, requests, tags};

/// Starts the system containers, and supervises them until the machine ends.
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

/// Returns an error if system-docker does not answer, or cannot list its containers.
async fn supervise() -> Result<(), String> {
    let mut hangups = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    let shared = prepare().await?;
    let all = shared.current().services.keys().cloned().collect();
    tokio::task::spawn_local(missed_exits::watch(Rc::clone(&shared)));
    tokio::task::spawn_local(networks::watch(Rc::clone(&shared)));
    start_all(all, &shared).await;
    // Again, because drivers and services may have brought new settings.
    set_sysctls(&shared, Missing::Report);
    report_started(&mut shared.report.borrow_mut());
    shared.booting.set(false);
    tokio::task::spawn_local(requests::answer_all(Rc::clone(&shared)));
    loop {
        // The first time for addons that cloud-init enabled during the boot.
        apply_addons(&shared).await;
        tags::ensure(&shared);
        if hangups.recv().await.is_none() {
            return std::future::pending().await;
        }
        reload(&shared).await;
    }
}

/// Connects to system-docker, loads the base image and removes containers of earlier boots.
async fn prepare() -> Result<Rc<Shared>, String> {
    let mut report = Report::new();
    let docker = engines::connect(config::SYSTEM_DOCKER, ENGINE_TIMEOUT).await?;
    report.event(&Event::ok("system-docker"));
    std::fs::write(config::SUPERVISOR_PID, std::process::id().to_string())
        .map_err(|error| format!("{}: {error}", config::SUPERVISOR_PID))?;
    let current = Current::read();
    let images = Images::new(docker.clone());
    // All other images are made from this one.
    match images.load_base().await {
        Ok(()) => report.event(&Event::ok("images")),
        Err(error) => report.failure("images", &error, false),
    }
    let containers = Containers::open(docker).await?;
    Ok(Shared::new(containers, images, current, report))
}

fn report_started(report: &mut Report) {
    report.print(&format!("RancherOS {} started", config::VERSION));
    report.event(&Event {
        version: Some(config::VERSION),
        ..Event::ok("started")
    });
}

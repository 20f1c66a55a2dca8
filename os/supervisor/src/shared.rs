//! What the tasks of the supervisor share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use config::{Config, Layer, Service};
use sys::report::Report;
use tokio::sync::Mutex;

use crate::container::Containers;
use crate::images::Images;
use crate::parts::{Parts, parts};
use crate::pulls::Pulls;
use crate::service::Running;

/// The timeout for an engine to answer.
pub(crate) const ENGINE_TIMEOUT: Duration = Duration::from_secs(120);

/// The configuration and the services that result from it.
pub(crate) struct Current {
    pub(crate) config: Config,
    pub(crate) layers: Vec<Layer>,
    pub(crate) services: BTreeMap<String, Service>,
}

impl Current {
    /// Reads the configuration of this machine.
    pub(crate) fn read() -> Rc<Self> {
        let config::Loaded { config, layers, .. } = config::load_machine();
        let services = config.effective_services();
        Rc::new(Self {
            config,
            layers,
            services,
        })
    }
}

/// The state of the supervisor.
pub(crate) struct Shared {
    pub(crate) containers: Containers,
    pub(crate) images: Images,
    pub(crate) pulls: Pulls,
    /// The configuration, as it was read last.
    current: RefCell<Rc<Current>>,
    pub(crate) report: RefCell<Report>,
    /// The service that runs under each name.
    pub(crate) running: RefCell<BTreeMap<String, Running>>,
    /// What the enabled addons changed of services, when they were compared last.
    pub(crate) parts: RefCell<Parts>,
    /// Services that a request stopped until the next boot, or until another request starts them.
    pub(crate) down: RefCell<BTreeSet<String>>,
    /// Services that are being started.
    pub(crate) starting: RefCell<BTreeSet<String>>,
    /// Whether the boot is not complete yet.
    pub(crate) booting: Cell<bool>,
    /// Held while services are replaced.
    pub(crate) changing: Mutex<()>,
    /// How many services there are to start.
    pub(crate) total: Cell<usize>,
    /// How many of them were started.
    pub(crate) started: Cell<usize>,
}

impl Shared {
    pub(crate) fn new(
        containers: Containers,
        images: Images,
        current: Rc<Current>,
        report: Report,
    ) -> Rc<Self> {
        Rc::new(Self {
            containers,
            images,
            pulls: Pulls::default(),
            parts: parts(&current.config).into(),
            down: RefCell::default(),
            starting: RefCell::default(),
            booting: true.into(),
            changing: Mutex::default(),
            current: current.into(),
            report: report.into(),
            running: RefCell::default(),
            total: 0.into(),
            started: 0.into(),
        })
    }

    /// Prints a line on the console.
    pub(crate) fn print(&self, text: &str) {
        self.report.borrow_mut().print(text);
    }

    /// Reports the failure of a stage or a service; the boot goes on.
    pub(crate) fn failure(&self, stage: &str, error: &str) {
        self.report.borrow_mut().failure(stage, error, false);
    }

    /// The configuration, as it was read last.
    pub(crate) fn current(&self) -> Rc<Current> {
        Rc::clone(&self.current.borrow())
    }

    /// Reads the configuration again; returns it, and the one before.
    pub(crate) fn read_again(&self) -> (Rc<Current>, Rc<Current>) {
        let current = Current::read();
        let before = self.current.replace(Rc::clone(&current));
        (current, before)
    }

    /// Adds to the number of services to start.
    pub(crate) fn add_to_total(&self, count: usize) {
        self.total.set(self.total.get() + count);
    }
}

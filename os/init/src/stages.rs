//! The stages of the early boot, in order, each with one responsibility.

mod drivers;
mod limits;
mod nodes;
mod room;
mod root;
mod settings;
mod state;
pub(crate) mod sysctl;
mod tree;

pub(crate) use settings::{call, load_modules, set_timezone};
pub(crate) use state::find;

use nix::mount::MsFlags;

use crate::engine;
use crate::report::{Event, Report};
use crate::sys::{Mount, Result, Sys};

/// What a failure of a stage means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Without it there is no machine.
    Stop,
    /// The machine is less, but it is there to be repaired.
    GoOn,
}

/// One stage.
struct Stage {
    name: &'static str,
    on_failure: OnFailure,
    run: fn(&mut Boot<'_>) -> Result<()>,
}

/// All of them. Why each failure means what it means stands beside it.
const STAGES: [Stage; 16] = [
    // Nothing works without /proc, /sys and /dev.
    Stage {
        name: "mounts",
        on_failure: OnFailure::Stop,
        run: root::mounts,
    },
    // The root cannot be mounted without squashfs and loop.
    Stage {
        name: "modules",
        on_failure: OnFailure::Stop,
        run: root::early_modules,
    },
    // There is nothing to run outside the root.
    Stage {
        name: "root",
        on_failure: OnFailure::Stop,
        run: root::root,
    },
    // The kernel's own are enough to work.
    Stage {
        name: "limits",
        on_failure: OnFailure::GoOn,
        run: limits::limits,
    },
    // Without the keeper there is no containerd, and so no container. It needs nothing of what
    // follows, and containerd takes seconds to start.
    Stage {
        name: "keeper",
        on_failure: OnFailure::Stop,
        run: keeper,
    },
    // A device without its driver is missing; the others are not.
    Stage {
        name: "drivers",
        on_failure: OnFailure::GoOn,
        run: drivers::drivers,
    },
    // Whoever needs such a device can load its module.
    Stage {
        name: "device-nodes",
        on_failure: OnFailure::GoOn,
        run: nodes::static_nodes,
    },
    // A state disk is optional unless the configuration says otherwise; `state` itself decides.
    Stage {
        name: "state",
        on_failure: OnFailure::Stop,
        run: state::state,
    },
    // What the machine itself needs is then kept in memory.
    Stage {
        name: "room",
        on_failure: OnFailure::GoOn,
        run: room::room,
    },
    // Bind mounts of the user's containers then name the engine's own folders.
    Stage {
        name: "tree",
        on_failure: OnFailure::GoOn,
        run: tree::tree,
    },
    // Arguments and files that do not fit are left out one by one; the rest holds.
    Stage {
        name: "config",
        on_failure: OnFailure::GoOn,
        run: settings::configuration,
    },
    // A name is a convenience.
    Stage {
        name: "hostname",
        on_failure: OnFailure::GoOn,
        run: settings::hostname,
    },
    // Without a zone it is UTC.
    Stage {
        name: "timezone",
        on_failure: OnFailure::GoOn,
        run: settings::timezone,
    },
    // The engines do not start without the file.
    Stage {
        name: "registries",
        on_failure: OnFailure::Stop,
        run: settings::registries,
    },
    // Settings have working defaults.
    Stage {
        name: "kernel-settings",
        on_failure: OnFailure::GoOn,
        run: settings::kernel_settings,
    },
    // System-docker's own arguments are always good; it is PID 1, and must not refuse the user's.
    Stage {
        name: "system-docker-args",
        on_failure: OnFailure::GoOn,
        run: settings::system_docker_args,
    },
];

/// A boot that ended for good.
#[derive(Debug, PartialEq, Eq)]
pub struct Fatal {
    /// The stage.
    pub stage: &'static str,
    /// Why.
    pub error: String,
}

/// What the stages share.
pub struct Boot<'a> {
    sys: &'a mut dyn Sys,
    report: &'a mut Report,
    config: config::Config,
    layers: Vec<config::Layer>,
}

impl<'a> Boot<'a> {
    /// A boot on a machine, with the configuration's defaults until it can be read.
    pub fn new(sys: &'a mut dyn Sys, report: &'a mut Report) -> Self {
        let config = config::from_cmdline("").config;
        Self {
            sys,
            report,
            config,
            layers: Vec::new(),
        }
    }

    /// Runs the stages; then this process is ready to become system-docker.
    ///
    /// # Errors
    /// A stage failed without which there is no machine.
    pub fn run(&mut self) -> std::result::Result<(), Fatal> {
        self.report.event(&Event::ok("init"));
        for stage in &STAGES {
            match (stage.run)(self) {
                Ok(()) => self.report.event(&Event::ok(stage.name)),
                Err(error) => {
                    let fatal = stage.on_failure == OnFailure::Stop;
                    self.report.failure(stage.name, &error, fatal);
                    if fatal {
                        return Err(Fatal {
                            stage: stage.name,
                            error,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Becomes system-docker: returns only when that fails.
    pub fn become_system_docker(&mut self) -> Fatal {
        self.report.say("Launching System Docker");
        let arguments = self.config.system_docker_arguments().words;
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let error = self
            .sys
            .become_program(engine::PROGRAM, &arguments, SYSTEM_DOCKER_LOG);
        self.report.failure("system-docker", &error, true);
        Fatal {
            stage: "system-docker",
            error,
        }
    }

    fn mount(
        &mut self,
        source: &str,
        target: &str,
        kind: &str,
        flags: MsFlags,
        data: &str,
    ) -> Result<()> {
        self.sys.make_folder(target)?;
        self.sys.mount(Mount {
            source,
            target,
            kind,
            flags,
            data,
        })
    }

    fn remount(&mut self, source: &str, target: &str, flags: MsFlags) -> Result<()> {
        self.sys.mount(Mount {
            source,
            target,
            kind: "",
            flags,
            data: "",
        })
    }
}

/// Where system-docker's own messages go.
const SYSTEM_DOCKER_LOG: &str = "/var/log/system-docker.log";

fn keeper(boot: &mut Boot<'_>) -> Result<()> {
    boot.sys
        .start(&format!("{}/init", crate::PROGRAMS), &["keeper"])
}

#[cfg(test)]
mod tests;

//! The order of the stages, and the end of `init`: becoming system-docker.

use sys::Result;
use sys::report::Event;

use crate::boot::Boot;
use crate::stages::{drivers, free_space, limits, nodes, root, settings, state, tree};

/// The log file of system-docker.
const SYSTEM_DOCKER_LOG: &str = "/var/log/system-docker.log";

/// The failure that ended the boot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fatal {
    /// The stage that failed.
    pub(crate) stage: &'static str,
    /// The error.
    pub(crate) error: String,
}

/// What happens when a stage fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// The boot ends.
    Stop,
    /// The boot continues with a degraded machine, which people can repair.
    Continue,
}

/// One stage.
struct Stage {
    name: &'static str,
    on_failure: OnFailure,
    run: fn(&mut Boot<'_>) -> Result<()>,
}

/// All stages, in order. The comment before each gives the reason for its `on_failure`.
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
    // All programs are in the root.
    Stage {
        name: "root",
        on_failure: OnFailure::Stop,
        run: root::root,
    },
    // The kernel's default limits are sufficient.
    Stage {
        name: "limits",
        on_failure: OnFailure::Continue,
        run: limits::limits,
    },
    // Without the keeper there is no containerd, and so no container. It starts this early because
    // containerd takes seconds to start and needs none of the later stages.
    Stage {
        name: "keeper",
        on_failure: OnFailure::Stop,
        run: keeper,
    },
    // Only the devices of the missing drivers do not work.
    Stage {
        name: "drivers",
        on_failure: OnFailure::Continue,
        run: drivers::drivers,
    },
    // A user of such a device can load its module.
    Stage {
        name: "device-nodes",
        on_failure: OnFailure::Continue,
        run: nodes::static_nodes,
    },
    // A state disk is optional unless the configuration requires it: the stage fails only then.
    Stage {
        name: "state",
        on_failure: OnFailure::Stop,
        run: state::state,
    },
    // The machine's own files are kept in memory then.
    Stage {
        name: "room",
        on_failure: OnFailure::Continue,
        run: free_space::check,
    },
    // The sources of bind mounts of the user's containers are then in the engine's own folders.
    Stage {
        name: "tree",
        on_failure: OnFailure::Continue,
        run: tree::tree,
    },
    // Invalid arguments and keys are left out one by one; the others take effect.
    Stage {
        name: "config",
        on_failure: OnFailure::Continue,
        run: settings::configuration,
    },
    // The host name is a convenience.
    Stage {
        name: "hostname",
        on_failure: OnFailure::Continue,
        run: settings::hostname,
    },
    // Without a time zone the machine uses UTC.
    Stage {
        name: "timezone",
        on_failure: OnFailure::Continue,
        run: settings::timezone,
    },
    // The engines do not start without their settings file.
    Stage {
        name: "registries",
        on_failure: OnFailure::Stop,
        run: settings::registries,
    },
    // Kernel settings have working defaults.
    Stage {
        name: "kernel-settings",
        on_failure: OnFailure::Continue,
        run: settings::kernel_settings,
    },
    // System-docker runs without the user's arguments then. It is PID 1 and must not exit because of an
    // argument.
    Stage {
        name: "system-docker-args",
        on_failure: OnFailure::Continue,
        run: settings::system_docker_args,
    },
];

/// Runs the stages; after that this process can become system-docker.
///
/// # Errors
/// A stage failed whose failure ends the boot.
pub(crate) fn run(boot: &mut Boot<'_>) -> std::result::Result<(), Fatal> {
    boot.report.event(&Event::ok("init"));
    for stage in &STAGES {
        match (stage.run)(boot) {
            Ok(()) => boot.report.event(&Event::ok(stage.name)),
            Err(error) => {
                let is_fatal = stage.on_failure == OnFailure::Stop;
                boot.report.failure(stage.name, &error, is_fatal);
                if is_fatal {
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

/// Becomes system-docker; returns only if that fails.
pub(crate) fn become_system_docker(boot: &mut Boot<'_>) -> Fatal {
    boot.report.print("Launching System Docker");
    let arguments = boot.config.system_docker_arguments().words;
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let error = boot
        .sys
        .exec(engines::PROGRAM, &arguments, SYSTEM_DOCKER_LOG);
    boot.report.failure("system-docker", &error, true);
    Fatal {
        stage: "system-docker",
        error,
    }
}

/// Starts the keeper.
fn keeper(boot: &mut Boot<'_>) -> Result<()> {
    let init = format!("{}/init", sys::PROGRAMS);
    boot.sys.spawn(&init, &["keeper"])
}

#[cfg(test)]
mod tests;

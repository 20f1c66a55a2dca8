//! From the kernel's hand-over to a machine whose every service is a container.
//!
//! These programs come from this crate. `init` is PID 1: it runs the stages of the early boot, starts
//! itself once more as the *keeper*, and then becomes system-docker by `exec`. The keeper is a child
//! subreaper that keeps containerd, the `supervisor` and `power-button` running. The supervisor starts
//! the system containers through the Docker API. `console` is the first program of the console's container,
//! and keeps its logins running in the same way; `user_docker` begins that of the user's engine, and `shim`
//! what containerd starts beside a container. `runtime` is what that calls for containers of the user, whose
//! files lie in the `tree`. `power` ends all of it.
//!
//! PID 1 is Docker because the kernel then protects it: no shortage of memory ends it, and no signal that it
//! has no handler for (`sys/signals.rs` sees to that).
//! Containerd is below a subreaper because dockerd does not wait for processes that it inherits.
//!
//! Not its job: reading configuration (crate `config`) or user-data (crate `cloud-init`).

pub mod console;
pub mod engine;
mod engine_network;
pub mod keeper;
pub mod log;
pub mod machine_programs;
pub mod mounts;
pub mod pid1;
pub mod power;
pub mod power_button;
pub mod report;
pub mod respawn;
pub mod runtime;
pub mod shim;
pub mod stages;
pub mod supervisor;
pub mod sys;
pub mod tree;
pub mod uevents;
pub mod user_docker;

/// Where the programs of the initrd are found in the machine.
pub const PROGRAMS: &str = "/usr/lib/rancher";

/// What programs are found by name in.
pub const SEARCH_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

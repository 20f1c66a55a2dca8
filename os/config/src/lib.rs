//! The one document that configures the machine.
//!
//! It is made of layers, each merged into the ones below it so that siblings are kept: the compiled
//! defaults, `generated.yml` (what the machine made for itself), `rancher.yml`, `cloud-config.yml`
//! (written by cloud-init), and the kernel command line. What does not fit the schema is left out and
//! reported; reading a configuration never fails, because a machine that cannot read its configuration
//! must still boot and say why.
//!
//! Not its job: acting on what the document says.

mod addons;
mod cmdline;
mod dns;
mod document;
pub mod edit;
mod elsewhere;
pub mod engine;
mod fit;
pub mod hostname;
mod layers;
mod lists;
mod mounts;
mod network;
pub mod path;
mod registries;
mod schema;
mod services;
mod store;
mod subnet;
pub mod sysctl;
mod timezone;
mod tree;
pub mod written;

pub use addons::Addon;
pub use cmdline::{Argument, arguments};
pub use dns::Dns;
pub use document::{Document, Problem, line};
pub use fit::{Misfit, Why, fit, is_key, nearest};
pub use layers::{Layer, Loaded, check, defaults, from_cmdline, load, merge, place};
pub use lists::{Addresses, Gateways, Vlan, Vlans};
pub use mounts::Mount;
pub use network::{Address, Bridge, Interface, Network, Route};
pub use registries::{
    Credentials, DAEMON_JSON, ENGINE_SETTINGS, Host, Mirror, Registries, USER_ENGINE_SETTINGS,
};
pub use schema::{CloudInit, Config, Ntp, SSH_PORT, Service, Ssh, State, UserDocker};
pub use store::{Store, write, write_for_all, write_layer};
pub use subnet::Subnet;
pub use timezone::Timezone;

/// Keys that are read before any disk is there: only the kernel command line says them.
pub const EARLY: [&str; 2] = ["rescue", "state"];

/// The version of the OS.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the configuration lies in the machine.
pub const FOLDER: &str = "/var/lib/rancher/conf";

/// What the machine made for itself, below what the user says.
pub const GENERATED_LAYER: &str = "generated.yml";

/// What the user changed.
pub const USER_LAYER: &str = "rancher.yml";

/// The user's document as it was when it last had no mistake.
pub const GOOD_LAYER: &str = "rancher.yml.good";

/// What cloud-init was told.
pub const CLOUD_LAYER: &str = "cloud-config.yml";

/// Where the supervisor writes who it is; at SIGHUP it reads the configuration again.
pub const SUPERVISOR_PID: &str = "/run/supervisor.pid";

/// Where the supervisor takes requests: `up`, `down` or `restart`, and names of services.
pub const SUPERVISOR_SOCKET: &str = "/run/supervisor.sock";

/// The system engine's socket.
pub const SYSTEM_DOCKER: &str = "/run/system-docker.sock";

/// The user's engine's socket.
pub const USER_DOCKER: &str = "/run/docker.sock";

/// Reads this machine's configuration: the layers in [`FOLDER`] and `/proc/cmdline`.
pub fn load_machine() -> Loaded {
    // Without /proc there are no arguments to read.
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    load(FOLDER.as_ref(), &cmdline)
}

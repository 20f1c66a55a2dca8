//! The configuration document of the machine: schema, defaults and layers.
//!
//! The document is merged from layers. Each layer overrides the ones below it key by key, so sibling
//! keys persist. From the lowest to the highest:
//!
//! 1. the compiled defaults,
//! 2. `generated.yml` (values that the machine generated for itself),
//! 3. `rancher.yml` (the user's document),
//! 4. `cloud-config.yml` (written by cloud-init),
//! 5. the kernel command line.
//!
//! Values that do not match the schema are ignored and reported. Loading never fails, because a machine
//! with a broken configuration must still boot and report what is wrong.
//!
//! This crate does not apply the configuration.

#![warn(unreachable_pub)]

mod addon;
mod addons;
mod cmdline;
mod dns;
mod document;
pub mod edit;
pub mod engine;
pub mod hostname;
mod interface_values;
mod keys;
mod layers;
mod locations;
mod merge;
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
mod unsupported_keys;
mod validate;
pub mod verbatim;

pub use addon::Addon;
pub use dns::Dns;
pub use document::{Consequence, Document, Problem, line};
pub use interface_values::{Addresses, Gateways, Vlan, Vlans};
pub use keys::is_key;
pub use layers::{Layer, Loaded, check, defaults, from_cmdline, load, load_machine, location};
pub use locations::{
    CLOUD_LAYER, EARLY, FOLDER, GENERATED_LAYER, GOOD_LAYER, SUPERVISOR_PID, SUPERVISOR_SOCKET,
    SYSTEM_DOCKER, USER_DOCKER, USER_LAYER, VERSION,
};
pub use merge::merge;
pub use mounts::Mount;
pub use network::{Address, Bridge, Interface, Network, Route};
pub use registries::{
    Credentials, DAEMON_JSON, ENGINE_SETTINGS, Host, Mirror, Registries, USER_ENGINE_SETTINGS,
};
pub use schema::{CloudInit, Config, Ntp, SSH_PORT, Service, Ssh, State, UserDocker};
pub use store::{Store, write, write_for_all, write_layer};
pub use subnet::Subnet;
pub use timezone::Timezone;
pub use validate::{SchemaError, SchemaErrorKind, nearest, validate};

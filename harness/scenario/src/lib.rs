//! Scenario files: each describes one behaviour of an OS as data. This crate reads and checks them; it
//! does not run them.
//!
//! | module | subject |
//! |---|---|
//! | `file`, `cards`, `seed_data`, `setup`, `known_failure` | scenario and setup files, and their machine |
//! | `cluster`, `addresses` | several machines and their networks; `${MACHINE.NETWORK}` in steps |
//! | `step` | the kinds of steps, one file for each |
//! | `sabotage` | changes that must make a scenario fail |
//! | `value`, `rate`, `expectation`, `subnet`, `published_port`, `empty_disk` | values that several steps and files use |
//! | `lint`, `collector` | errors that serde cannot detect, in whole scenarios; what collects them |
//! | `load`, `load_setups` | read and lint all files of a folder |
//! | `scenario` | scenarios that passed the lint |
//! | `schema`, `step_table` | the JSON schemas for editors, and the reference in `scenarios/README.md` |
//! | `upload` | files of the scenarios folder that steps send |

mod addresses;
mod cards;
mod cluster;
mod collector;
mod empty_disk;
mod expectation;
mod file;
mod known_failure;
mod lint;
mod load;
mod load_setups;
mod published_port;
mod rate;
mod sabotage;
mod scenario;
mod schema;
mod seed_data;
mod setup;
pub mod step;
mod step_table;
mod subnet;
mod upload;
mod value;

pub use cards::{CardFile, HostName, NetworkFile};
pub use cluster::{
    Cluster, ClusterMachine, ClusterMachineFile, ClusterNetwork, ClusterNetworkFile,
};
pub use empty_disk::DiskFile;
pub use expectation::{Filter, TextExpectation};
pub use file::{CloudConfig, MachineFile, RegistryFile, ScenarioFile, Start};
pub use known_failure::{Day, KnownFailure};
pub use load::{Known, load, load_all, warnings};
pub use published_port::PublishedPort;
pub use rate::Rate;
pub use sabotage::{Change, InitrdFile, RedAt, Sabotage, SabotageFile, StepRef};
pub use scenario::{Scenario, sent_files};
pub use schema::{of_setups as schema_of_setups, schema};
pub use seed_data::{KEY_PLACEHOLDER, PageFile, VolumeFile, VolumeFormat};
pub use setup::{Setup, SetupFile, Setups};
pub use step::{Action, Step, StepFile};
pub use step_table::with_step_table;
pub use subnet::Subnet;
pub use value::{Account, EngineName, Pattern, Span, Words};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

//! Scenario files: each describes one behaviour of an OS as data. This crate reads and checks them; it
//! does not run them.
//!
//! | module | subject |
//! |---|---|
//! | `file`, `cards`, `seed_data`, `setup`, `known_failure` | scenario and setup files, and their machine |
//! | `step`, `docker`, `client`, `hotplug`, `fault`, `sabotage` | steps, and the changes that must make them fail |
//! | `value` | values that are validated while they are deserialized |
//! | `lint` | errors that serde cannot detect |
//! | `load`, `load_setups` | read and lint all files of a folder |
//! | `scenario` | scenarios and steps that passed the lint |
//! | `describe` | titles of steps without a name |
//! | `schema`, `step_table` | the JSON schemas for editors, and the reference in `scenarios/README.md` |
//! | `upload` | files of the scenarios folder that steps send |

mod cards;
mod client;
mod describe;
mod docker;
mod fault;
mod file;
mod hotplug;
mod known_failure;
mod lint;
mod load;
mod load_setups;
mod sabotage;
mod scenario;
mod schema;
mod seed_data;
mod setup;
mod step;
mod step_table;
mod upload;
mod value;

pub use cards::{CardFile, HostName, NetworkFile};
pub use client::ClientStep;
pub use docker::{
    DockerAction, DockerExec, DockerImport, DockerPs, DockerRun, DockerStep, DockerTls, EngineName,
    PublishedPort, Restart,
};
pub use fault::{
    ClockStep, CrashCause, CrashStep, DiskError, DiskStep, FaultStep, Jump, KillStep, Line, Link,
    MemoryStep, NetworkStep, PauseStep, PowerButtonStep, PowerOffStep, ResumeStep, SignalName,
    Undone,
};
pub use file::{CloudConfig, DiskFile, MachineFile, RegistryFile, ScenarioFile, Start};
pub use hotplug::{HotplugStep, NameServerStep, Plugged, Subnet, TimeServerStep};
pub use known_failure::{Day, KnownFailure};
pub use load::{Known, load, load_all, warnings};
pub use sabotage::{Change, InitrdFile, RedAt, Sabotage, SabotageFile, StepRef};
pub use scenario::{Scenario, Step};
pub use schema::{of_setups as schema_of_setups, schema};
pub use seed_data::{KEY_PLACEHOLDER, PageFile, VolumeFile, VolumeFormat};
pub use setup::{Setup, SetupFile, Setups};
pub use step::{
    Account, Action, EventsStep, KeyName, PowerCutStep, RebootStep, SerialLogin, SerialStep,
    SshStep, StepFile, Upload, WaitAction, WaitContainer, WaitForStep, WaitSsh,
};
pub use step_table::with_step_table;
pub use upload::sent_files;
pub use value::{Filter, Pattern, Span, TextExpectation, Words};

#[cfg(test)]
mod tests;

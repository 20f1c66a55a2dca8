//! Scenario files: one behaviour of an OS each, as data, judged from outside.
//!
//! `file`, `cards`, `told`, `setup`, `step`, `docker`, `supply`, `fault` and `sabotage` are what people write,
//! `value` the small types in it that check themselves, `lint` what serde cannot see, `load` brings
//! them together, `schema` tells editors and `step_table` readers.
//! Not here: doing any of it.

mod cards;
mod client;
mod describe;
mod docker;
mod fault;
mod file;
mod known_failure;
mod lint;
mod load;
mod sabotage;
mod schema;
mod setup;
mod step;
mod step_table;
mod supply;
mod told;
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
pub use known_failure::{Day, KnownFailure};
pub use load::{Known, Scenario, Step, load, load_all, warnings};
pub use sabotage::{Change, InitrdFile, RedAt, Sabotage, SabotageFile, StepRef};
pub use schema::{of_setups as schema_of_setups, schema};
pub use setup::{Setup, SetupFile, Setups};
pub use step::{
    Account, Action, EventsStep, KeyName, PowerCutStep, RebootStep, SerialLogin, SerialStep,
    SshStep, StepFile, Upload, WaitAction, WaitContainer, WaitForStep, WaitSsh,
};
pub use step_table::with_step_table;
pub use supply::{HotplugStep, NameServerStep, Plugged, Subnet, TimeServerStep};
pub use told::{KEY_HERE, PageFile, VolumeFile, VolumeFormat};
pub use upload::sent_files;
pub use value::{Filter, Pattern, Span, TextExpectation, Words};

#[cfg(test)]
mod tests;

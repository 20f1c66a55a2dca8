//! Virtual machines under QEMU: start them, drive them from outside, inject faults, save and fork them.
//!
//! Usable from a plain `#[test]`, without scenario files: a [`MachineSpec`] describes the machine, a
//! [`LogDir`] takes its logs, and [`Machine`] is the handle. Every wait of a [`Machine`] has a deadline and
//! fails at once when the guest fails or QEMU exits.
//!
//! A [`switch::Network`] connects machines: [`Machine::attach`] plugs a card in, and the network can be
//! partitioned, impaired and captured.
//!
//! | folder | subject |
//! |---|---|
//! | [`profile`] | profile files: the machines that QEMU emulates |
//! | `guest` | how the guest reports its boot, when it is ready |
//! | `disk`, `network`, [`services`] | parts of a machine, and services that it reaches |
//! | `qemu` | QEMU's command line, processes and protocols |
//! | `console`, `ssh` | ways to talk to the guest |
//! | `snapshot` | machines saved on disk |
//! | `vm` | one machine, from its start to its end |
//! | `docker`, `faults` | clients for its Docker engines; faults that can be injected |

mod builder;
mod console;
mod disk;
mod docker;
mod error;
mod faults;
mod guest;
mod lines;
mod log_dir;
mod network;
mod output;
pub mod profile;
mod qemu;
pub mod services;
mod snapshot;
mod spec;
mod ssh;
mod vm;

pub use base::wait::WaitError;
pub use builder::MachineBuilder;
pub use console::serial::Serial;
pub use disk::image::make_blank;
pub use disk::volume::{FileSystemKind, Volume};
pub use disk::write_cache::Loss;
pub use disk::{Blank, Disk};
pub use docker::Certificates;
pub use error::{GuestFailure, MachineError};
pub use faults::{DiskFaults, FaultyDisk, Relay};
pub use guest::boot_events::BootEvent;
pub use guest::{Engine, Guest, RANCHEROS};
pub use log_dir::LogDir;
pub use network::card::CardNetwork;
pub use network::link::Link;
pub use network::relay::Disturbance;
pub use output::Output;
pub use qemu::plugged::SLOTS;
pub use services::metadata::{Metadata, Page};
pub use snapshot::checkpoint::Checkpoint;
pub use snapshot::damage::SnapshotError;
pub use snapshot::failure::FailureSnapshot;
pub use spec::MachineSpec;
pub use ssh::{KeyPair, Login, Ssh};
pub use switch;
pub use vm::{Machine, RestoreOptions};

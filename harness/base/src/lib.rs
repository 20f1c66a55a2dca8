//! What every crate of the harness stands on. Nothing here knows machines, scenarios or reports.

pub mod clock;
pub mod command;
pub mod files;
pub mod hash;
pub mod lock;
pub mod private_dir;
pub mod process;
pub mod shell;
pub mod stats;
pub mod text;
pub mod wait;

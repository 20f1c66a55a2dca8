//! Utilities that all crates of the harness use. Nothing here depends on machines, scenarios or reports.

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

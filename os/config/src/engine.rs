//! Arguments and configuration files of the two Docker engines.
//!
//! The configuration adds arguments to the ones that the machine sets. Options of the Docker of 2015 are
//! accepted: an option that has a successor is translated, one without a successor is dropped with a
//! warning. Options that would make the engine exit are dropped with a warning, too: system-docker is
//! PID 1, so the machine would panic with it.

mod arguments;
mod file;
mod options;
mod warning;
mod words;

pub use arguments::Arguments;
pub use file::{
    EngineFile, check_daemon_json, daemon_json, file, location, with_live_restore, with_registries,
};
pub use warning::Warning;

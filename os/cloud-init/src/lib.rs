//! Reads user-data and metadata from a cloud and turns them into configuration, files and a script.
//!
//! The datasources in the configuration are tried in order; the first one that answers is used. Invalid
//! parts of user-data are reported and ignored, and the valid parts apply, because an error in user-data
//! must not lock users out. The last answer applies until a datasource gives another one.
//!
//! The work is done in two places:
//!
//! - `save` is a system container that runs before the console. It reads the datasources that answer at
//!   once (volumes, files) and saves their data.
//! - In the console, which has home folders and accounts, `write` writes the files before anything else
//!   starts. `finish` runs in the background: it queries the datasources on the network, runs the
//!   script, and, if no datasource answered, waits for a volume that appears late.
//!
//! Therefore a cloud that does not answer delays no login.
//!
//! This crate does not apply the configuration; the console and the supervisor do.

#![warn(unreachable_pub)]

mod account_setup;
mod apply;
mod console;
mod datasource;
mod fetch;
mod files;
mod problem;
mod program;
mod saved;
mod status;
mod user_data;
mod watch;

pub use fetch::run;
pub use problem::Problem;
pub use program::main;
pub use saved::check;
pub use status::{Progress, Status};
pub use user_data::Kind;

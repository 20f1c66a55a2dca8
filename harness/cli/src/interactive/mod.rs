//! The interactive machines: `harness run`, `ssh` and `stop`.
//!
//! Each state folder has one machine or one cluster at a time. The state disks persist between runs. The
//! owner process of all machines holds the lock of the folder; `ssh` and `stop` find the owner and the
//! machines through the lock file. In the background, the owner is a second process of the same command in its
//! own session, so it outlives the shell.

mod background;
mod boot;
mod cloud_config;
mod cluster;
mod enter;
mod error;
mod escape;
mod foreground;
mod member;
mod resources;
mod run;
mod running;
mod signals;
mod spec;
mod ssh;
mod state;
mod stop;
mod terminal;

use error::{other, runtime};

pub use enter::{EnterOptions, Entered, enter};
pub use run::{RunOptions, run};
pub use ssh::ssh;
pub use stop::stop;

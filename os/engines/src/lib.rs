//! What the OS does with its two Docker engines, system-docker and the user's: connecting to them, their
//! registries, images and settings files, and checking their arguments.
//!
//! Not its job: which containers run (crate `supervisor`), or which registries are configured (crate
//! `config`).

#![warn(unreachable_pub)]

mod connect;
mod dockerd;
mod images;
mod process;
mod registries;
mod reload;
mod settings;

pub use connect::{connect, within};
pub use dockerd::{PROGRAM, validate};
pub use images::{has_image, pull, tag};
pub use process::signal;
pub use registries::update_registries;
pub use reload::reload;
pub use settings::{set_live_restore, write_user_settings};

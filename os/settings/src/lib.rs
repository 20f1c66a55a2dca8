//! Settings of the running machine that its configuration asks for: host name, time zone, kernel modules
//! and sysctls.
//!
//! The boot applies them, and the supervisor applies them again when the configuration changes.

#![warn(unreachable_pub)]

mod hostname;
mod modules;
mod sysctl;
mod timezone;

pub use hostname::set_hostname;
pub use modules::load_modules;
pub use sysctl::{Missing, apply_sysctls};
pub use timezone::set_timezone;

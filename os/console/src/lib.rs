//! The first program of the console's container: it configures users and SSH, then keeps the login
//! programs running.
//!
//! It is mounted into the image of each console, so an image needs nothing but the programs that it
//! starts.

#![warn(unreachable_pub)]

mod authorized_keys;
mod cloud_init;
mod files;
mod groups;
mod host_keys;
mod logins;
pub mod machine_programs;
mod program;
mod rancher;
mod sshd;
mod start_script;
mod users;

pub use program::main;

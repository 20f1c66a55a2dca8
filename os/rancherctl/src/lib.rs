//! The command that users run to inspect and change the machine.
//!
//! The program has other names: `reboot`, `poweroff`, `halt`, `shutdown`, `init`, `telinit`; `useradd`,
//! `usermod`, `userdel`, `groupadd`, `groupdel`; `wait-for-docker`.

#![warn(unreachable_pub)]

mod addon;
mod caller;
mod cloud_init;
mod completion;
mod configuration;
mod device;
mod environment;
mod power;
mod program;
mod runtime;
mod service;
mod tls;
mod users;
mod wait_for_docker;

pub use program::main;

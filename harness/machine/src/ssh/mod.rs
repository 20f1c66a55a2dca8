//! SSH to the machine: commands and forwarded sockets. Each connection has a thread of its own, because
//! two threads must not use a libssh2 session at the same time; callers wait for answers without
//! blocking.

mod client;
mod connect;
mod connection;
mod exec;
pub(crate) mod identity;
mod login;
mod serve;

pub(crate) mod forward;

pub use client::Ssh;
pub(crate) use connect::Target;
pub(crate) use connection::{Connection, SshError};
pub(crate) use identity::Identity;
pub use login::{KeyPair, Login};

//! SSH into the machine. Each connection has a thread of its own, because a session of libssh2 must
//! not be used by two at a time; callers wait for its answers without blocking. It runs commands, and
//! forwards sockets.

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
pub(crate) use connection::{Connection, Trouble};
pub(crate) use identity::Identity;
pub use login::{KeyPair, Login};

//! The client: a small Debian beside the machine in which steps run `ssh`, `scp`, `docker` and
//! other tools as users do.
//!
//! bubblewrap isolates it: the root is read-only, the home directory is a folder of the trial, and the network
//! namespace is empty. Ports of the machine are Unix sockets ([`Doors`](door::Doors)), so neither a command of a
//! scenario nor an answer of a guest can reach this host or its network.

#[allow(clippy::module_inception, reason = "named after the type in it")]
mod client;
mod computer;
mod door;
mod process;
mod sandbox;

pub(crate) use client::Client;
pub use computer::ClientError;
pub(crate) use computer::computer;

#[cfg(test)]
mod tests;

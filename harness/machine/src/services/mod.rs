//! Services of the host that a machine reaches: a registry, cloud metadata, a name server, a time server.

pub(crate) mod metadata;
pub(crate) mod name_server;
pub mod registry;
mod time_server;

pub use name_server::{NameServer, Names};
pub use time_server::TimeServer;

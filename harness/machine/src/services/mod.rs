//! Services of the host that a machine reaches: a registry, a name server, a time server.

mod name_server;
pub mod registry;
mod time_server;

pub use name_server::NameServer;
pub use time_server::TimeServer;

//! The Docker engines of a guest.

use super::description::RANCHEROS;

/// A Docker engine of the OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// system-docker, `/var/run/system-docker.sock`.
    System,
    /// The user's Docker, `/var/run/docker.sock`.
    User,
}

impl Engine {
    /// The path of its socket in the guest.
    pub fn socket(self) -> &'static str {
        match self {
            Self::System => RANCHEROS.system_engine_socket,
            Self::User => RANCHEROS.user_engine_socket,
        }
    }
}

//! The Docker engines of a guest.

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
            Self::System => "/var/run/system-docker.sock",
            Self::User => "/var/run/docker.sock",
        }
    }
}

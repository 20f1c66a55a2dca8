//! The Docker engines of a guest.

/// Which Docker engine of the OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// system-docker, `/var/run/system-docker.sock`.
    System,
    /// The user's, `/var/run/docker.sock`.
    User,
}

impl Engine {
    /// Its socket in the guest.
    pub fn socket(self) -> &'static str {
        match self {
            Self::System => "/var/run/system-docker.sock",
            Self::User => "/var/run/docker.sock",
        }
    }
}

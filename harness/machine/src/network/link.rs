//! What links a machine to others.

use switch::{Attachment, Network, NetworkError};

use crate::error::MachineError;

/// A link of a machine to a network.
#[derive(Debug, Clone)]
pub struct Link {
    /// The network.
    pub network: Network,
    /// The machine's name there.
    pub machine: String,
    /// Its number there, from 1, which decides its addresses: they are the same in each fork.
    pub number: u32,
}

impl Link {
    pub(crate) fn attach(&self) -> Result<Attachment, MachineError> {
        let attached = self.network.attach(&self.machine, self.number);
        attached.map_err(|error: NetworkError| MachineError::Other(error.to_string()))
    }
}

//! The guest's Docker engines: through SSH, and over the network with TLS.

mod engine;
mod tls;

pub use tls::Certificates;

//! Clients for the guest's Docker engines: over SSH, and over the network with TLS.

mod engine;
mod tls;

pub use tls::Certificates;

//! The certificates of the user's Docker.
//!
//! The machine is its own authority: it signs what the engine shows and what clients show. What is made
//! is kept as a layer of the configuration; what the user set there himself is taken as it is.
//!
//! What the engine shows is for what the machine is known by, unless somebody says for what: then it is
//! made anew whenever the engine starts and the machine is known by more.
//!
//! Keys are on the curve P-256, which every client of Docker knows. Certificates hold until the end of
//! the century, from its beginning: a machine must not lock its users out over a day that nobody wrote
//! down, nor because its clock was wrong when it made them.
//!
//! Not its job: TLS itself, which the engine does.

mod address;
mod files;
mod hosts;
mod sign;
mod store;

use std::path::PathBuf;

pub use files::{Client, Owner};
pub use store::Store;

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They could not be made.
    #[error("a certificate cannot be made: {0}")]
    Sign(#[from] rcgen::Error),
    /// A file or folder cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Some of the keys that belong together are there.
    #[error("userdocker.{0} is missing: set it, or unset what belongs to it")]
    Missing(&'static str),
    /// The authority is somebody else's.
    #[error(
        "userdocker.tls_ca_cert is not of this machine's own authority: sign with whoever made it, or unset it and userdocker.tls_ca_key"
    )]
    Foreign,
    /// What was made does not hold.
    #[error(
        "userdocker.tls_* is set in {}, in cloud-config or on the kernel command line, which goes before what was made: unset it there",
        config::USER_LAYER
    )]
    Overridden,
}

/// What comes of it.
pub type Result<T> = std::result::Result<T, Error>;

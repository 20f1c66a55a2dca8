//! The errors of this crate.

use std::path::PathBuf;

/// Why certificates cannot be generated or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate cannot be signed.
    #[error("failed to generate a certificate: {0}")]
    Sign(#[from] rcgen::Error),
    /// A file or folder cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A certificate is set without its key, or the reverse.
    #[error("userdocker.{0} is missing; hint: set it, or unset its counterpart")]
    Missing(&'static str),
    /// The CA is not the machine's own.
    #[error(
        "userdocker.tls_ca_cert is not the CA of this machine; hint: sign with that CA, or unset it and userdocker.tls_ca_key"
    )]
    Foreign,
    /// The key of a CA is missing, or it belongs to another certificate.
    #[error("{} is not the key of {}; hint: restore both files, or remove the folder to create another CA", key.display(), cert.display())]
    AuthorityKey {
        /// The certificate of the CA.
        cert: PathBuf,
        /// The file of its key.
        key: PathBuf,
    },
    /// A folder has certificates of another CA.
    #[error(
        "{} is the certificate of another CA; hint: generate certificates on the machine that has this CA, or remove the file",
        .0.display()
    )]
    OtherAuthority(PathBuf),
    /// Another layer overrides the generated certificates.
    #[error(
        "userdocker.tls_* overrides the generated certificates; hint: unset it in {}, in cloud-config or on the kernel command line",
        config::USER_LAYER
    )]
    Overridden,
}

/// The result of generating certificates.
pub type Result<T> = std::result::Result<T, Error>;

//! The nonce that distinguishes one machine from all others.

use ssh_key::rand_core::{OsRng, RngCore as _};

/// The `fw_cfg` file that holds the nonce. User-defined names begin with `opt/` and a domain (QEMU's
/// docs/specs/fw_cfg.rst).
pub(crate) const FW_CFG: &str = "opt/io.rancher.harness/nonce";

/// A nonce that no other machine has: 32 hexadecimal digits.
pub(crate) fn random_nonce() -> String {
    format!("{:016x}{:016x}", OsRng.next_u64(), OsRng.next_u64())
}

/// The kernel argument that carries a nonce.
pub(crate) fn argument(nonce: &str) -> String {
    format!("harness.nonce={nonce}")
}

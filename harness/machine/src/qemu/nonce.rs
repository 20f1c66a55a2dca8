//! The word that tells one machine from all others.

use ssh_key::rand_core::{OsRng, RngCore as _};

/// The file of `fw_cfg` with the word; names of users begin with `opt/` and a domain (QEMU's
/// docs/specs/fw_cfg.rst).
pub const FW_CFG: &str = "opt/io.rancher.harness/nonce";
/// A word that no other machine has.
pub fn random_word() -> String {
    format!("{:016x}{:016x}", OsRng.next_u64(), OsRng.next_u64())
}

/// The kernel argument that carries a nonce.
pub fn argument(nonce: &str) -> String {
    format!("harness.nonce={nonce}")
}

//! QEMU: command line, processes, control protocol and migration.

pub(crate) mod args;
pub(crate) mod kernel;
pub(crate) mod launch;
pub(crate) mod migration;
pub(crate) mod nonce;
pub(crate) mod plan;
pub(crate) mod plugged;
pub(crate) mod qmp;
pub(crate) mod script;

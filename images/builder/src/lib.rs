//! Builds the artifacts of the OS: the definitions in `images/` and the programs of `os/` become
//! `dist/artifacts/vmlinuz`, `dist/artifacts/initrd` and a manifest of their contents.
//!
//! Each step caches its result under `target/images/`. The cache key is the hash of all inputs, and a step
//! is skipped when its key has not changed. Results are written to a temporary file and renamed, so an
//! interrupted build leaves no incomplete results.
//!
//! This crate does not start machines, and it does not know how the OS uses the files.

#![warn(unreachable_pub)]

mod archive;
mod binaries;
mod build;
mod cache;
mod computer;
mod definition;
mod error;
mod go;
mod initrd;
mod layout;
mod libraries;
mod manifest;
mod modules;
mod packages;
mod program;
mod publish;
mod root;
mod system;
mod tree;

pub use build::{Artifacts, Progress, build, sizes};
pub use computer::{Computer, computer};
pub use error::BuildError;
pub(crate) use error::{Context, Result};
pub(crate) use layout::Layout;
pub use manifest::{Manifest, Package, Sizes};
pub use publish::{Published, publish, within_reach};

//! Disk images: created, layered, copied, and served with a write cache that a power cut empties.

mod drive;
pub(crate) mod image;
#[cfg(test)]
mod tools;
pub(crate) mod volume;
pub(crate) mod write_cache;

pub use drive::{Blank, Disk};
pub(crate) use drive::{Drive, Format, Origin, SavedDrive};

//! Runs scenarios on machines and judges them.
//!
//! A [`Trial`](trial::Trial) is one scenario on one profile. The caller provides the [`Project`] whose
//! files it uses, the artifacts to boot, and the folder for its evidence. A trial emits events to the
//! listeners of its settings. This crate does not print.

#![allow(unreachable_pub, reason = "being reduced")]

pub mod artifacts;
pub mod checkpoint;
mod client;
pub mod evidence;
pub mod history;
mod project;
pub mod trial;

pub use project::Project;

//! Knowledge of the guest: how it reports its boot, when it is ready, where its engines listen.

pub(crate) mod boot_events;
mod description;
mod engine;
pub(crate) mod ready;

pub use description::{Guest, RANCHEROS};
pub use engine::Engine;

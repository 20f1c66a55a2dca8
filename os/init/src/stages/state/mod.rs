//! The state disk, which has everything that outlives a boot.

mod check;
mod find;
mod format;
mod grow;
mod stage;

pub(crate) use stage::state;

//! The stages of the boot, each with one responsibility. The module `sequence` has their order.

pub(crate) mod drivers;
pub(crate) mod free_space;
pub(crate) mod limits;
pub(crate) mod nodes;
pub(crate) mod root;
pub(crate) mod settings;
pub(crate) mod state;
pub(crate) mod tree;

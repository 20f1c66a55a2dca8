//! Checks of whole scenarios and setups beyond their schema: contradictory keys, steps that cannot work in their
//! order, scenarios that cannot fail. The checks of a single step are in the file of its kind in `step/`.

mod head;
mod machine;
mod order;
mod sabotage;
mod seed_data;
mod whole;

pub(super) use head::{head, setup};
pub(super) use sabotage::sabotages;
pub(super) use whole::{invariants, whole};

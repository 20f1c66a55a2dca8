//! Checks of a scenario beyond its schema: contradictory keys, steps without effect, scenarios that
//! cannot fail.

mod client;
mod collector;
mod docker;
mod expectation;
mod fault;
mod head;
mod kind;
mod machine;
mod sabotage;
mod seed_data;
mod ssh;
mod step;
mod wait;
mod whole;

pub(super) use collector::Lint;
pub(super) use head::{head, setup};
pub(super) use sabotage::sabotages;
pub(super) use step::step;
pub(super) use whole::{invariants, whole};

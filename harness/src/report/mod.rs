//! What people and programs see of a run, each made of the one stream of [events](crate::event).

mod lines;

pub use lines::Lines;

//! What people and programs see of a run, each made of the one stream of [events](crate::event).

mod lines;
mod live;
mod summary;

pub use lines::Lines;
pub use live::Live;

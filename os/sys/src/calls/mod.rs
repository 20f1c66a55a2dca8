//! The seam between the boot and the kernel: the stages change the machine through [`Sys`] only, so that
//! a unit test can check their order.

mod content;
mod interface;
mod linux;
mod nodes;
mod program;
mod signals;

pub use content::{Content, Extent};
pub use interface::{FreeSpace, Mount, Node, Result, Sys};
pub use linux::Linux;
pub use program::{Outcome, ProgramOutput, Progress};

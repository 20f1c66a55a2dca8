//! Runs scenarios on machines and judges them.
//!
//! A [`Trial`](trial::Trial) is one scenario on one profile. It is given all that it needs: the
//! [`Project`] whose files it uses, what boots, and where its evidence goes. Events go to the listeners
//! of its settings; nothing here prints.

pub mod artifacts;
pub mod checkpoint;
mod client;
pub mod evidence;
pub mod history;
mod project;
pub mod trial;

pub use project::Project;

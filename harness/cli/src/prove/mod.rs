//! `harness prove`: proves that scenarios can fail. Each [sabotage](scenario::Sabotage) is applied and must
//! make its scenario fail at the step that it names.

mod initrd;
mod options;
mod proof;
mod run;

pub use options::Options;
pub use run::run;

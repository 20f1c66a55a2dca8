//! The command line: its options ([`options`]), and one function per command.

mod checkpoints;
mod ci;
mod evidence;
mod help;
mod machine;
mod options;
mod project;
mod refusal;
mod report;
mod run;

use refusal::{Refusal, print};

pub(crate) use run::run;

//! `rancherctl config`: the configuration document of the machine.
//!
//! Changes are made to the text of the user's document (`rancher.yml`), so comments and order persist.
//! Values are read from all layers, as the machine reads them at its next boot.

mod command;
mod draft;
mod exchange;
mod values;
mod warnings;

pub(crate) use command::{Command, run};
use command::{Failure, Result, several, warn};

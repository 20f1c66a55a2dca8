//! `rancherctl addon`: lists, enables and disables addons.

mod command;
mod enabled;

pub(crate) use command::{Command, run};

//! The supervisor: starts the system containers in the order of their dependencies, through the Docker
//! API, and restarts those that exit. On SIGHUP it reads the configuration again, and starts and removes
//! the services of addons that were enabled or disabled.
//!
//! The supervisor itself may exit at any time and be restarted by the keeper: it leaves running containers
//! of this boot alone, and removes those of earlier boots.

#![warn(unreachable_pub)]

mod container;
mod file_events;
mod images;
mod missed_exits;
mod networks;
mod order;
mod parts;
mod program;
mod pulls;
mod ready;
mod reload;
mod renew;
mod requests;
mod service;
mod shared;
mod start;
mod tags;

pub use program::main;

//! Admission: a machine starts when this host has the memory and the processors for it.
//!
//! All processes of a user that run trials share one ledger, a folder with a file for each machine
//! that runs. Its owner holds a lock on it, which ends with the process however that ends, so a
//! process that was killed gives its share back. One of those who wait is next until there is room
//! for it, so that small machines never keep a large one out for ever; the others are told who.
//! Not here: how many trials one process runs at a time; that is an upper bound of its own.

mod demand;
mod ledger;

pub use demand::{Demand, Host};
pub use ledger::{Admitted, Ledger};

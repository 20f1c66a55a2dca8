//! Admission: a machine starts when this host has the memory and the processors for it.
//!
//! All processes of a user that run trials share one queue: a folder with a file for each running
//! machine. The owner of the machine holds a lock on the file. The kernel releases the lock when the
//! process ends for any reason, so a killed process frees its reservation. One waiting process at a time
//! holds the turn until its machine fits, so that small machines cannot starve a large one; the others
//! report which process holds it. The limit of parallel trials of one process is separate.

mod queue;
mod request;

pub use queue::{AdmissionQueue, Admitted};
pub use request::{Host, ResourceRequest};

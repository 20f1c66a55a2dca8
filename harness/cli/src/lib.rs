//! Boots a build of an operating system under QEMU, drives it from outside, and judges it.
//!
//! The harness reads scenario and profile files strictly, starts machines, communicates with them over the
//! serial console, SSH, the Docker API, boot events and QMP, and records evidence. It does not depend on
//! the internals of the OS: it links no crate of `os/`, and boots a kernel and an initrd with a kernel
//! command line.

pub mod artifacts;
pub mod doctor;
pub mod environment;
pub mod exit;
pub mod interactive;
pub mod project;
pub mod prove;
pub mod runtime;
pub mod suite;
pub mod terminal;

//! Boots a build of an operating system under QEMU, drives it from outside, and judges it.
//!
//! Its job: read scenario and profile files strictly, start machines, talk to them over the serial
//! line, SSH, the Docker API, boot events and QMP, and leave evidence of what happened.
//! Not its job: knowing how the OS works inside. It links no crate of `os/`; what it boots is a
//! kernel, an initrd, and the words on the command line.

pub mod artifacts;
pub mod checkpoint;
mod client;
pub mod doctor;
pub mod evidence;
pub mod exit;
pub mod history;
pub mod interactive;
pub mod project;
pub mod prove;
pub mod suite;
pub mod terminal;
pub mod trial;

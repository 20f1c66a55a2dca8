//! The file tree that people, their Docker engine and the container runtime see as `/`.
//!
//! The root of the machine is read-only and has no files of the user, and each system container has its
//! own root. A bind mount (`docker run -v /srv/www:/www`) names a folder for three parties: the person
//! who types the command, the engine that checks the path, and the runtime that mounts it. All three must
//! find the same folder. So there is one tree, at [`TREE`] in the machine's own mount namespace, with
//! shared propagation:
//!
//! - its root is a folder of the state device, so folders that people create there (`/data`) persist;
//! - `init` mounts [`SYSTEM_FOLDERS`] into it, which are the same in the whole machine;
//! - the console mounts the folders of its image (`/etc`, `/usr`) and makes the tree its root ([`console`]);
//! - the user's engine makes the tree its root, too, but with the machine's programs ([`engine`]);
//! - the runtime of the user's containers stays in the machine's root and resolves the sources of bind
//!   mounts in the tree ([`resolve`]; crate `shim`).
//!
//! RancherOS had the same problem and started the user's engine in the console's namespaces (v0.5,
//! `rancher.docker.storage_context`); there the engine ended with the console.

#![warn(unreachable_pub)]

pub mod console;
pub mod engine;
mod image;
mod layout;
mod resolve;
mod root;
mod signs;

pub use layout::{PERSISTENT_FOLDERS, STATE_FOLDER, SYSTEM_FOLDERS, TREE};
pub use resolve::resolve;
pub use signs::{SIGNS, wait_until};

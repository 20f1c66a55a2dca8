//! The certificates of the user's Docker, and of an etcd cluster.
//!
//! For Docker, the machine is its own certificate authority (CA): it signs the engine's certificate and those of
//! clients. Generated certificates are saved in a layer of the configuration; certificates that the user
//! sets have priority.
//!
//! By default the engine's certificate is valid for the machine's own names and addresses. It is renewed
//! when the engine starts and the machine has new ones. A certificate for hosts that the user chose is
//! not renewed.
//!
//! For etcd, one machine is the CA of the whole cluster. Its certificates are files.
//!
//! Keys are on the curve P-256, which every client supports. Certificates are valid from 2000 to
//! 2099: an expiry date that nobody noted, or a wrong clock, must not lock users out.
//!
//! This crate does not implement TLS; the engine and etcd do.

#![warn(unreachable_pub)]

mod address;
mod error;
mod etcd;
mod files;
mod hosts;
mod sign;
mod store;

pub use error::{Error, Result};
pub use etcd::{ETCD_FOLDER, EtcdAuthority};
pub use files::{Bundle, Owner};
pub use sign::Pair;
pub use store::Store;

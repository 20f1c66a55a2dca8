//! Users and groups of a console: adds, changes and removes them like `useradd`, `usermod`, `userdel`,
//! `groupadd` and `groupdel` of the shadow suite.
//!
//! Debian's programs are not used, because they need libsemanage, libselinux and libaudit, a tenth of the
//! console's image, and because the users of a cloud-config must be created in every console.
//!
//! This crate does not preserve accounts across reboots; the console does, also for changes by other programs.

#![warn(unreachable_pub)]

mod accounts;
mod files;
mod modify;
mod table;
#[cfg(test)]
mod tests;
mod values;

pub use accounts::{Accounts, SHELL};
pub use values::{Change, NewUser};

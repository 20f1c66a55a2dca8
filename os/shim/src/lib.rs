//! The programs that containerd starts for a container: the shim of the system containers, and the
//! runtime of the user's containers.

#![warn(unreachable_pub)]

pub mod runtime;
pub mod shared;

//! Configures the machine's network interfaces, and runs DHCP clients on the interfaces that need them.
//!
//! An error of one interface is reported and does not affect the others. Nothing waits for the network:
//! interfaces that appear later are configured then, and a host name that is set later is sent to the
//! DHCP servers then. DHCP clients call [`lease_script`](lease_script()); it shares the leases with this program in the
//! module `state`.

#![warn(unreachable_pub)]

mod advertised;
mod commands;
mod devices;
mod hooks;
mod lease;
mod lease_script;
mod links;
mod name_servers;
mod program;
mod state;
mod sysctl;

pub use lease_script::main as lease_script;
pub use program::main;

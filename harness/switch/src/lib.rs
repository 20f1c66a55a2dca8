//! Networks between virtual machines.
//!
//! A [`Network`] is an Ethernet switch in this process. Each machine is attached by a datagram socket: one
//! datagram is one frame. The switch learns hardware addresses, floods frames to unknown ones, and always
//! captures. It can be partitioned, and each link can delay, lose, duplicate and slow down frames. A DHCP
//! server gives each machine the address that belongs to its name.
//!
//! The switch never waits for a machine: a frame that a machine does not take at once is dropped, as a real
//! switch does when a queue is full.
//!
//! | file | subject |
//! |---|---|
//! | `network.rs` | the handle: attach, partition, impair, capture |
//! | `queue.rs` | the sockets of the machines; frames that are read, delayed and sent |
//! | `forward.rs` | which ports a frame goes to, and when |
//! | `impairment.rs` | what a link does to frames |
//! | `subnet.rs`, `hosts.rs`, `dhcp.rs` | addresses; the network's own host: DHCP, ARP and ping |
//! | `capture.rs`, `filter.rs` | the ring of frames, pcap files, expressions that select frames |

mod capture;
mod dhcp;
mod filter;
mod forward;
mod hosts;
mod impairment;
mod network;
mod queue;
mod subnet;
mod worker;

pub use capture::Captured;
pub use filter::{Filter, FilterError};
pub use forward::{CutId, Totals};
pub use impairment::Impairment;
pub use network::{Attachment, Network, NetworkError, NetworkSettings};
pub use subnet::{Subnet, SubnetError};

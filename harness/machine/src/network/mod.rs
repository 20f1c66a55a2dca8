//! The networks that QEMU makes for a guest: their settings, packet filters, and packets that are lost
//! or delayed.

pub(crate) mod card;
pub(crate) mod gate;
pub(crate) mod link;
pub(crate) mod names;
pub(crate) mod relay;
pub(crate) mod socket;

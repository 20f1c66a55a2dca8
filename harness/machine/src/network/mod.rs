//! The networks that QEMU makes for a guest: what they tell it, what they let through, and packets that
//! are lost or late.

pub(crate) mod card;
pub(crate) mod gate;
pub(crate) mod relay;
pub(crate) mod socket;

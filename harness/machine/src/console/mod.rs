//! The serial console: kept, searched, typed into, and scanned for lines that mean a guest failure.

pub(crate) mod login;
pub(crate) mod scan;
pub(crate) mod serial;

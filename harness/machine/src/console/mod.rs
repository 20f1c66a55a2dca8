//! The serial console: logs the output, waits for it, types into it, and scans it for guest failures.

pub(crate) mod login;
pub(crate) mod scan;
pub(crate) mod serial;

//! Paths that several programs of the machine use.

/// The folder that has the programs of the initrd, in the running machine.
pub const PROGRAMS: &str = "/usr/lib/rancher";

/// The value of `PATH` for programs that the machine itself starts.
pub const SEARCH_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

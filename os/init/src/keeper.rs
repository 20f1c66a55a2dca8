//! The keeper beside PID 1: it keeps containerd, the supervisor and the power button's listener running. It
//! is a child subreaper, so it reaps the orphans that containerd leaves.

use sys::respawn::{Program, keep_running};
use sys::{PROGRAMS, SEARCH_PATH};

/// Containerd's configuration file, in the root.
const CONTAINERD_CONFIG: &str = "/usr/share/rancher/containerd.toml";

fn programs() -> Vec<Program> {
    vec![
        Program::new("/usr/bin/containerd", &["--config", CONTAINERD_CONFIG])
            // The shim in PROGRAMS takes precedence over containerd's own.
            .with_search_path(&format!("{PROGRAMS}:{SEARCH_PATH}"))
            .with_log("/run/containerd.log"),
        Program::new(&format!("{PROGRAMS}/supervisor"), &[]),
        Program::new(&format!("{PROGRAMS}/power-button"), &[]),
    ]
}

/// Runs until the machine ends.
///
/// # Errors
/// This process cannot become a subreaper, or cannot receive signals.
pub(crate) fn run() -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    keep_running(programs())
}

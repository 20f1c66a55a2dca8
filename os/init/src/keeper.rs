//! The keeper: what stands beside PID 1 once that is Docker. It is a child subreaper, so whatever
//! containerd leaves behind is waited for here, and it keeps containerd, the supervisor and the
//! listener to the power button running.

use crate::respawn::{Program, keep};

/// Containerd's configuration, in the root.
const CONTAINERD_CONFIG: &str = "/usr/share/rancher/containerd.toml";

fn programs() -> Vec<Program> {
    vec![
        Program::new("/usr/bin/containerd", &["--config", CONTAINERD_CONFIG])
            // Our shim goes before its own.
            .searching(&format!("{}:{}", crate::PROGRAMS, crate::SEARCH_PATH))
            .logging_to("/run/containerd.log"),
        Program::new(&format!("{}/supervisor", crate::PROGRAMS), &[]),
        Program::new(&format!("{}/power-button", crate::PROGRAMS), &[]),
    ]
}

/// Runs until the machine ends.
///
/// # Errors
/// The kernel refuses to make this process a subreaper, or to give it signals.
pub fn run() -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    keep(programs())
}

//! The part of cloud-init that runs in the console: writing files, and commands.

use std::process::{Child, Command, Stdio};

use sys::report::Report;

/// The program.
const CLOUD_INIT: &str = "/usr/lib/rancher/cloud-init";

/// The file with the steps that are left to do, as arguments for the program.
const TO_DO: &str = "/run/cloud-init/to-do";

/// Runs the steps of cloud-init that are left to do. Waits for the files, which must exist before anything
/// else starts, but not for the commands, which may take long.
pub(crate) fn run(report: &mut Report) {
    // Without the file nothing is left to do.
    let to_do = std::fs::read_to_string(TO_DO).unwrap_or_default();
    let is_left = |step| to_do.split_whitespace().any(|one| one == step);
    if is_left("write")
        && let Some(mut write) = start("write", report)
    {
        // cloud-init reports its errors itself.
        let _ = write.wait();
    }
    if is_left("finish") {
        #[allow(
            clippy::zombie_processes,
            reason = "`respawn::keep_running` reaps every child"
        )]
        let _ = start("finish", report);
    }
}

fn start(step: &str, report: &mut Report) -> Option<Child> {
    let mut command = Command::new(CLOUD_INIT);
    command.arg(step).stdin(Stdio::null());
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            report.print(&format!("rancher: console: {CLOUD_INIT} {step}: {error}"));
            None
        }
    }
}

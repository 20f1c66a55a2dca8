//! The programs of `os/`, built by cargo as one static binary.

use std::path::PathBuf;
use std::process::Command;

use crate::{Layout, Progress, Result, program};

/// What the machine runs; glibc is linked in, so no musl toolchain is needed.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The package of `os/` that holds all programs, and its binary.
const PACKAGE: &str = "rancheros";

/// The programs, by the names that it is called by in the machine.
pub const PROGRAMS: [&str; 12] = [
    "init",
    "supervisor",
    "power",
    "power-button",
    "console",
    "user-docker",
    "dhcp-lease",
    "containerd-shim-runc-v2",
    "network",
    "ntp",
    "rancherctl",
    "cloud-init",
];

/// Builds the programs, where cargo does not know them to be up to date.
pub fn build(layout: &Layout, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf> {
    progress(Progress::Begin("programs"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // A folder of its own: the build that runs us may hold the lock of the other one.
    let target = layout.workspace.join("target/os");
    let mut command = Command::new(cargo);
    command
        .current_dir(&layout.workspace)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            "os",
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(&target)
        .args(["--package", PACKAGE])
        .env(
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
            "-C target-feature=+crt-static",
        )
        // These would take the place of the flags above.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    program::output("build the programs of os/", &mut command)?;
    progress(Progress::Done("programs"));
    Ok(target.join(TARGET).join("os").join(PACKAGE))
}

//! Builds the programs of `os/` with cargo as one static binary.

use std::path::PathBuf;
use std::process::Command;

use crate::{Layout, Progress, Result, program};

/// The target. The binary links glibc statically, so no musl toolchain is needed.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The package of `os/` with all programs, and its binary.
const PACKAGE: &str = "rancheros";

/// The names by which the machine calls the binary.
pub(crate) const PROGRAMS: [&str; 12] = [
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

/// Builds the programs, unless they are up to date, and returns the path of the binary.
pub(crate) fn build(layout: &Layout, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf> {
    progress(Progress::Started("programs"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // A separate target folder, because a cargo that runs this program may hold the lock of the other one.
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
        // These variables would override the flags above.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    program::output("build the programs of os/", &mut command)?;
    progress(Progress::Finished("programs"));
    Ok(target.join(TARGET).join("os").join(PACKAGE))
}

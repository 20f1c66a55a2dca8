//! Images that are a whole system of some distribution: installed by mmdebstrap as that distribution
//! does it, so that people find its package manager in a state that it knows.

use std::path::Path;
use std::process::Command;

use crate::definition::Definition;
use crate::{Result, program};

/// What nobody reads in a console that is thrown away.
const LEFT_OUT: [&str; 4] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

/// Writes the system as a tar archive, with owners and modes as they are to be.
pub fn install(definition: &Definition, suite: &str, to: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command
        // As root in a chroot, as anybody else in a user namespace: what packages do at their
        // installation must not reach this host.
        .args(["--variant=apt", "--format=tar", "--mode=auto"])
        .arg(components(definition))
        .arg(format!("--include={}", definition.packages.join(",")));
    for pattern in LEFT_OUT {
        command.arg(format!("--dpkgopt=path-exclude={pattern}"));
    }
    // The same packages give the same bytes.
    command.arg(suite).arg(to).env("SOURCE_DATE_EPOCH", "0");
    let step = format!("install {} from {suite}", definition.name);
    program::output(&step, &mut command).map(drop)
}

/// Whether the archive that a definition's suite lies in can be reached from here, and why not.
pub fn within_reach(definition: &Definition) -> Result<()> {
    let Some(suite) = &definition.suite else {
        return Ok(());
    };
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--simulate", "--variant=extract", "--mode=chrootless"])
        .arg(components(definition))
        .args([suite, "/dev/null"]);
    program::output(&format!("reach the archive of {suite}"), &mut command).map(drop)
}

fn components(definition: &Definition) -> String {
    format!("--components={}", definition.components.join(","))
}

//! Images that are a whole system of some distribution: installed by mmdebstrap as that distribution
//! does it, so that people find its package manager in a state that it knows.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::definition::Definition;
use crate::{BuildError, Layout, Result, packages, program};

/// What nobody reads in a console that is thrown away.
const LEFT_OUT: [&str; 4] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

/// Writes the system as a tar archive, with owners and modes as they are to be.
pub fn install(layout: &Layout, definition: &Definition, suite: &str, to: &Path) -> Result<()> {
    let mut command = of_archive(layout, definition)?;
    command
        // As root in a chroot, as anybody else in a user namespace: what packages do at their
        // installation must not reach this host.
        .args(["--variant=apt", "--format=tar", "--mode=auto"])
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
pub fn within_reach(layout: &Layout, definition: &Definition) -> Result<()> {
    let own = definition.registry.then_some(packages::SUITE);
    let Some(suite) = definition.suite.as_deref().or(own) else {
        return Ok(());
    };
    let mut command = of_archive(layout, definition)?;
    command
        .args(["--simulate", "--variant=extract", "--mode=chrootless"])
        .args([suite, "/dev/null"]);
    program::output(&format!("reach the archive of {suite}"), &mut command).map(drop)
}

/// mmdebstrap, which knows the parts of the definition's archive and who signs it.
fn of_archive(layout: &Layout, definition: &Definition) -> Result<Command> {
    let mut command = Command::new("mmdebstrap");
    command.arg(format!("--components={}", definition.components.join(",")));
    if let Some(keyring) = keyring(layout, definition)? {
        command.arg("--keyring").arg(keyring);
    }
    Ok(command)
}

/// The keys of an archive that is not Debian's. Debian has them as a package, so that they are as well
/// proven as all else that comes from it, on every host.
fn keyring(layout: &Layout, definition: &Definition) -> Result<Option<PathBuf>> {
    let Some(keyring) = &definition.keyring else {
        return Ok(None);
    };
    let packages = packages::fetch_keyring(layout, &definition.name, &keyring.package)?;
    let file = keyring.file.strip_prefix("/").unwrap_or(&keyring.file);
    let file = packages.root.join(file);
    match file.is_file() {
        true => Ok(Some(file)),
        false => Err(BuildError::new(
            format!("find the keys of {}", definition.name),
            format!("{} has no {}", keyring.package, keyring.file.display()),
        )),
    }
}

//! Builds images that are a complete system of a distribution. mmdebstrap installs the packages with their
//! maintainer scripts, so that the package manager works in the image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::definition::Definition;
use crate::{BuildError, Layout, Result, packages, program};

/// Files that are not installed, because consoles are discarded and rarely need documentation.
const EXCLUDED: [&str; 4] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

/// Writes the system as a tar archive with its owners and modes.
pub(crate) fn install(
    layout: &Layout,
    definition: &Definition,
    suite: &str,
    to: &Path,
) -> Result<()> {
    let mut command = mmdebstrap(layout, definition)?;
    command
        // A chroot if root runs this, otherwise a user namespace: maintainer scripts must not change
        // this host.
        .args(["--variant=apt", "--format=tar", "--mode=auto"])
        .arg(format!("--include={}", definition.packages.join(",")));
    for pattern in EXCLUDED {
        command.arg(format!("--dpkgopt=path-exclude={pattern}"));
    }
    // Makes the archive reproducible.
    command.arg(suite).arg(to).env("SOURCE_DATE_EPOCH", "0");
    let step = format!("install {} from {suite}", definition.name);
    program::output(&step, &mut command).map(drop)
}

/// The archives that were asked for by this process, and their answers: a run asks for the same ones for each trial.
static ASKED: Mutex<BTreeMap<String, Result<()>>> = Mutex::new(BTreeMap::new());

/// Checks whether the archive of a definition's suite can be reached.
pub(crate) fn within_reach(layout: &Layout, definition: &Definition) -> Result<()> {
    let own = definition.registry.then_some(packages::SUITE);
    let Some(suite) = definition.suite.as_deref().or(own) else {
        return Ok(());
    };
    let mut command = mmdebstrap(layout, definition)?;
    command
        .args(["--simulate", "--variant=extract", "--mode=chrootless"])
        .args([suite, "/dev/null"]);
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = asked.entry(format!("{command:?}")).or_insert_with(|| {
        program::output(&format!("reach the archive of {suite}"), &mut command).map(drop)
    });
    answer.clone()
}

/// mmdebstrap with the components and the keyring of a definition's archive.
fn mmdebstrap(layout: &Layout, definition: &Definition) -> Result<Command> {
    let mut command = Command::new("mmdebstrap");
    command.arg(format!("--components={}", definition.components.join(",")));
    if let Some(keyring) = keyring(layout, definition)? {
        command.arg("--keyring").arg(keyring);
    }
    Ok(command)
}

/// The keys of an archive of another distribution. They come from a Debian package, so every host can
/// verify them with Debian's keys.
fn keyring(layout: &Layout, definition: &Definition) -> Result<Option<PathBuf>> {
    let Some(keyring) = &definition.keyring else {
        return Ok(None);
    };
    let packages = packages::fetch_keyring(layout, &definition.name, &keyring.package)?;
    let file = keyring.file.strip_prefix("/").unwrap_or(&keyring.file);
    let file = packages.root.join(file);
    if file.is_file() {
        return Ok(Some(file));
    }
    Err(BuildError::new(
        format!("find the keys of {}", definition.name),
        format!("{} has no {}", keyring.package, keyring.file.display()),
    ))
}

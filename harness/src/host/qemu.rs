//! QEMU as installed.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::command;

/// What to do when it is missing.
pub const HINT: &str = "apt install qemu-system-x86 qemu-utils";

const PROGRAM: &str = "qemu-system-x86_64";

/// QEMU as found.
#[derive(Debug, Clone)]
pub struct Qemu {
    /// The program.
    pub path: PathBuf,
    /// Version with the distribution's suffix: two builds of one version may differ.
    pub version: String,
}

/// Finds it and asks for its version, once a process.
///
/// # Errors
/// Why there is none.
pub fn find() -> Result<Qemu, String> {
    static FOUND: OnceLock<Result<Qemu, String>> = OnceLock::new();
    FOUND.get_or_init(look).clone()
}

fn look() -> Result<Qemu, String> {
    let path = command::find(PROGRAM).ok_or_else(|| format!("no {PROGRAM} on this host"))?;
    let said = command::run(Command::new(&path).arg("--version"))?;
    Ok(Qemu {
        version: version(&said)?,
        path,
    })
}

/// `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)` without the first words.
fn version(said: &str) -> Result<String, String> {
    let line = said.lines().next().unwrap_or_default();
    let version = line
        .split_once("version ")
        .map(|(_, version)| version.trim().to_owned());
    version.ok_or_else(|| format!("{PROGRAM} --version said `{line}`"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_read() {
        let said = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright\n";
        assert_eq!(
            super::version(said).unwrap(),
            "7.2.22 (Debian 1:7.2+dfsg-7)"
        );
        assert!(super::version("command not found").is_err());
    }
}

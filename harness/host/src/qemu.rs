//! QEMU as installed.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use base::command;

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

/// The first version that locks a page of code while it translates it ("accel/tcg: Always lock pages
/// before translation"). Before, a processor could go on with code that another had just patched; a
/// Linux guest then dies now and then of `Oops: int3` in a jump label.
const LOCKS_CODE: (u32, u32) = (8, 1);

impl Qemu {
    /// Whether the emulated processors of a guest may run at the same time.
    pub fn threads_are_safe(&self) -> bool {
        let mut numbers = self
            .version
            .split(['.', ' '])
            .map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= LOCKS_CODE
    }
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
    fn an_old_emulation_runs_one_processor_at_a_time() {
        let safe = |version: &str| {
            super::Qemu {
                path: "qemu".into(),
                version: version.into(),
            }
            .threads_are_safe()
        };
        assert!(!safe("7.2.22 (Debian 1:7.2+dfsg-7)") && !safe("8.0.4"));
        assert!(safe("8.1.0") && safe("8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)") && safe("10.0.3"));
    }

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

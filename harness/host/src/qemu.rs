//! The installed QEMU.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use base::command;

/// The hint if QEMU is missing.
pub const HINT: &str = "apt install qemu-system-x86 qemu-utils";

const PROGRAM: &str = "qemu-system-x86_64";

/// An installed QEMU.
#[derive(Debug, Clone)]
pub struct Qemu {
    /// The path of the program.
    pub path: PathBuf,
    /// The version with the suffix of the distribution: two builds of one version can differ.
    pub version: String,
}

/// The first version of QEMU that locks a page of code while it translates it ("accel/tcg: Always lock
/// pages before translation"). Before, a processor could continue with code that another one had just
/// patched; a Linux guest then sometimes died of `Oops: int3` in a jump label.
const LOCKS_CODE: (u32, u32) = (8, 1);

impl Qemu {
    /// Whether the emulated processors of a guest can run in parallel.
    pub fn threads_are_safe(&self) -> bool {
        let mut numbers = self
            .version
            .split(['.', ' '])
            .map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= LOCKS_CODE
    }
}

/// Finds QEMU and its version, once per process.
///
/// # Errors
/// QEMU is not installed, or its version cannot be read.
pub fn find() -> Result<Qemu, String> {
    static FOUND: OnceLock<Result<Qemu, String>> = OnceLock::new();
    FOUND.get_or_init(look).clone()
}

fn look() -> Result<Qemu, String> {
    let path = command::find(PROGRAM).ok_or_else(|| format!("{PROGRAM} is not installed"))?;
    let output = command::run(Command::new(&path).arg("--version"))?;
    Ok(Qemu {
        version: version(&output)?,
        path,
    })
}

/// The part after `version` of `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)`.
fn version(output: &str) -> Result<String, String> {
    let line = output.lines().next().unwrap_or_default();
    let version = line
        .split_once("version ")
        .map(|(_, version)| version.trim().to_owned());
    version.ok_or_else(|| format!("unexpected output of {PROGRAM} --version: `{line}`"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn threads_are_unsafe_when_qemu_is_older_than_8_1() {
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
    fn version_is_parsed_from_the_output() {
        let output = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright\n";
        assert_eq!(
            super::version(output).unwrap(),
            "7.2.22 (Debian 1:7.2+dfsg-7)"
        );
        assert!(super::version("command not found").is_err());
    }
}

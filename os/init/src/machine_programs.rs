//! Programs of the machine for people: the console's image has links of these names, so that it need not
//! hold them and their libraries a second time.
//!
//! The program sees the files that its caller sees, but for `/usr`, which is the machine's.

use std::ffi::OsStr;
use std::io::{Error, Result};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// What they may be called by. Each is in `/usr/sbin` of the machine.
pub const NAMES: [&str; 13] = [
    "e2fsck",
    "fsck.ext4",
    "ip6tables",
    "ip6tables-restore",
    "ip6tables-save",
    "iptables",
    "iptables-restore",
    "iptables-save",
    "mke2fs",
    "mkfs.ext4",
    "resize2fs",
    "sfdisk",
    "tune2fs",
];

/// Where a console has the machine's `/usr`.
const USR: &str = "/usr/lib/rancher/usr";

/// Becomes the program of this name.
pub fn main(name: &str) -> ExitCode {
    if let Err(error) = see_programs() {
        let hint = if nix::unistd::geteuid().is_root() {
            ""
        } else {
            "; hint: run it as root, by sudo"
        };
        eprintln!("{name}: {error}{hint}");
        return ExitCode::FAILURE;
    }
    let arguments = std::env::args_os().skip(1);
    let program = Path::new("/usr/sbin").join(name);
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("{name}: {error}");
    ExitCode::FAILURE
}

/// Mounts the machine's programs for this process alone.
fn see_programs() -> Result<()> {
    let none = None::<&OsStr>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)?;
    // What it mounts shows nowhere else.
    mount(none, "/usr", none, MsFlags::MS_PRIVATE, none)?;
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(USR), "/usr", none, bind, none)
        .map_err(|error| Error::other(format!("{USR}: {error}")))
}

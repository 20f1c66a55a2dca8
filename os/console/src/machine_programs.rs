//! Programs of the machine that people can run in the console. The console's image has links of these
//! names, so that it does not need a second copy of the programs and their libraries.
//!
//! A program sees the files of its caller, except for `/usr`, which is the machine's.

use std::ffi::OsStr;
use std::io::{Error, Result};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// The names of the programs, in `/usr/sbin` of the machine.
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

/// The mount of the machine's `/usr` in a console.
const USR: &str = "/usr/lib/rancher/usr";

/// Executes the program of this name.
pub fn main(name: &str) -> ExitCode {
    if let Err(error) = mount_programs() {
        let hint = if nix::unistd::geteuid().is_root() {
            ""
        } else {
            "; hint: run it with `sudo`"
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

/// Mounts the machine's `/usr` in a mount namespace of this process.
fn mount_programs() -> Result<()> {
    let none = None::<&OsStr>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)?;
    // So that the mount does not propagate to other namespaces.
    mount(none, "/usr", none, MsFlags::MS_PRIVATE, none)?;
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(USR), "/usr", none, bind, none)
        .map_err(|error| Error::other(format!("{USR}: {error}")))
}

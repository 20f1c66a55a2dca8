//! The arguments of bubblewrap.

use std::ffi::OsString;
use std::path::Path;

/// The program that isolates the client from this host.
pub(super) const PROGRAM: &str = "bwrap";
/// The folder of the sockets that lead to the machine.
pub(super) const DOORS: &str = "/run/machine";
/// The home directory of the user.
const HOME: &str = "/home/person";
/// The size limit of `/tmp` in bytes.
const TMP_BYTES: &str = "268435456";

/// The arguments before the command.
pub(super) fn sandbox(root: &Path, home: &Path, doors: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    let mut add = |all: &[&dyn AsRef<std::ffi::OsStr>]| {
        words.extend(all.iter().map(|word| word.as_ref().to_owned()));
    };
    add(&[&"--unshare-all", &"--die-with-parent", &"--new-session"]);
    add(&[&"--ro-bind", &root, &"/"]);
    add(&[&"--proc", &"/proc", &"--dev", &"/dev"]);
    add(&[&"--size", &TMP_BYTES, &"--tmpfs", &"/tmp"]);
    add(&[&"--ro-bind", &doors, &DOORS]);
    add(&[&"--bind", &home, &HOME, &"--chdir", &HOME]);
    add(&[&"--uid", &"1000", &"--gid", &"1000", &"--hostname", &"desk"]);
    add(&[&"--clearenv"]);
    for (name, value) in [
        ("DOCKER_HOST", "ssh://machine"),
        ("HOME", HOME),
        ("LANG", "C.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("USER", "person"),
    ] {
        add(&[&"--setenv", &name, &value]);
    }
    words
}

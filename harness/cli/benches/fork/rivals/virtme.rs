//! virtme-ng from PyPI. It mounts a folder of the host as the guest's root.
//!
//! The kernel has no 9p, so virtme-ng uses virtiofs and requires the virtiofs server
//! of crates.io. The root is a small Debian with udev and the modules of this kernel: without udev
//! it cannot report an exit status, and without the modules it loses seconds in the search for overlayfs.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Wanted, install};
use crate::common::Result;

const NAME: &str = "virtme-ng";
const VERSION: &str = "1.42";
const SERVER: &str = "virtiofsd";
const SERVER_VERSION: &str = "1.14.0";
/// The libraries of the server: the file that QEMU's package installs, its name for the linker, and
/// the prefix of the variables with its location.
const LIBRARIES: [(&str, &str, &str); 2] = [
    ("libcap-ng.so.0", "libcap-ng.so", "LIBCAPNG"),
    ("libseccomp.so.2", "libseccomp.so", "LIBSECCOMP"),
];
const SYSTEM_LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// The command that runs `true`. Installs everything that it needs.
pub(super) async fn command(wanted: &Wanted) -> Result<Command> {
    let folder = &wanted.folder;
    std::fs::create_dir_all(folder)?;
    let programs = install::from_pypi(folder, NAME, VERSION).await?;
    let server = server(folder).await?;
    let packages = format!("kmod,udev,{}", wanted.package);
    let root = install::debian_root(folder, NAME, &wanted.suite, &packages).await?;
    let mut command = Command::new(programs.join("vng"));
    command.arg("--run").arg(&wanted.kernel);
    command.arg("--root").arg(root);
    command.args(["--memory", &format!("{}M", wanted.memory)]);
    command.args(["--cpus", &wanted.cpus.to_string()]);
    if wanted.emulated {
        command.arg("--disable-kvm");
    }
    command.args(["--exec", "true"]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = [programs, server].into_iter();
    command.env(
        "PATH",
        std::env::join_paths(first.chain(std::env::split_paths(&path)))?,
    );
    Ok(command)
}

/// The folder of the virtiofs server.
async fn server(folder: &Path) -> Result<PathBuf> {
    let links = folder.join(format!("{SERVER}-libraries"));
    std::fs::create_dir_all(&links)?;
    let kind = |name: &str| format!("{name}_LINK_TYPE");
    let place = |name: &str| format!("{name}_LIB_PATH");
    let mut environment = vec![("LIBRARY_PATH".to_owned(), links.clone())];
    for (installed, linked, variable) in LIBRARIES {
        let link = links.join(linked);
        if link.symlink_metadata().is_err() {
            symlink(Path::new(SYSTEM_LIBRARIES).join(installed), link)?;
        }
        environment.push((kind(variable), "dylib".into()));
        environment.push((place(variable), links.clone()));
    }
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let program = install::from_crates(folder, SERVER, SERVER_VERSION, &environment).await?;
    Ok(program.parent().unwrap_or(folder).to_owned())
}

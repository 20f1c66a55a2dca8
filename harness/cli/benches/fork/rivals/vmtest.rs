//! vmtest from crates.io. It mounts a folder of the host as the guest's root over 9p, and communicates with
//! QEMU's guest agent.
//!
//! The OS's kernel has no 9p, so this uses the other kernel flavour of the same release, which has 9p as
//! a module. vmtest does not support an initrd to load the module, so a wrapper passes one to QEMU.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Wanted, install};
use crate::common::Result;

const NAME: &str = "vmtest";
const VERSION: &str = "0.18.0";
/// The path of the initrd in the root.
const PACKAGES: &str = "busybox-static,linux-image-amd64,qemu-guest-agent";
/// The script that builds the initrd.
const INITRD: &str = include_str!("vmtest-initrd.sh");

/// The command that runs `true`. Installs everything that it needs; fails if the kernel lacks a
/// feature that vmtest needs.
pub(super) async fn command(wanted: &Wanted) -> Result<Command> {
    let folder = &wanted.folder;
    let program = install::from_crates(folder, NAME, VERSION, &[]).await?;
    let root = install::debian_root(folder, NAME, &wanted.suite, PACKAGES).await?;
    let initrd = folder.join("vmtest-initrd");
    let mut make = Command::new("sh");
    make.args(["-c", INITRD, "vmtest-initrd.sh"]);
    install::done(make.arg(&root).arg(&initrd)).await?;
    let file = folder.join("vmtest.toml");
    std::fs::write(&file, configuration(wanted, &root, &initrd)?)?;
    let mut command = Command::new(program);
    command.arg("--config").arg(file);
    Ok(command)
}

fn configuration(wanted: &Wanted, root: &Path, initrd: &Path) -> Result<String> {
    let qemu = wanted.folder.join("vmtest-qemu");
    std::fs::write(&qemu, script(wanted.emulated, initrd))?;
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755))?;
    let (kernel, memory, cpus) = (kernel(root)?, wanted.memory, wanted.cpus);
    Ok(format!(
        "[[target]]\nname = \"true\"\nkernel = {kernel:?}\nrootfs = {root:?}\nqemu_command = {qemu:?}\n\
         command = \"true\"\n[target.vm]\nnum_cpus = {cpus}\nmemory = \"{memory}M\"\n"
    ))
}

/// The kernel of the package.
fn kernel(root: &Path) -> Result<PathBuf> {
    let boot = root.join("boot");
    let mut files = std::fs::read_dir(&boot)?.flatten().map(|file| file.path());
    let is_kernel = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("vmlinuz-")
    };
    let kernel = files.find(is_kernel);
    kernel.ok_or_else(|| format!("{} has no kernel", boot.display()).into())
}

/// A wrapper script that runs QEMU with an initrd. vmtest assumes that KVM works if `/dev/kvm` exists; if
/// it does not work, the wrapper removes the option.
fn script(emulated: bool, initrd: &Path) -> String {
    let initrd = initrd.display();
    let without_kvm = if emulated {
        "-enable-kvm) arguments+=(-accel tcg) ;;\n        host) arguments+=(max) ;;"
    } else {
        ""
    };
    format!(
        r#"#!/bin/bash
arguments=(-initrd "{initrd}")
for argument; do
    case $argument in
        {without_kvm}
        *) arguments+=("$argument") ;;
    esac
done
exec qemu-system-x86_64 "${{arguments[@]}}"
"#
    )
}

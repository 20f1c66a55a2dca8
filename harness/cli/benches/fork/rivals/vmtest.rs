//! vmtest, from crates.io. It mounts a folder of the host as the guest's root by 9p, and talks to
//! QEMU's guest agent there.
//!
//! The OS's kernel has no 9p at all, so this is the other flavour of the same release, which has it as
//! a module; vmtest knows no initrd that would load it, so QEMU is given one behind its back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Wanted, install};
use crate::common::Result;

const NAME: &str = "vmtest";
const VERSION: &str = "0.18.0";
/// In its root, with the kernel.
const PACKAGES: &str = "busybox-static,linux-image-amd64,qemu-guest-agent";
/// Makes the initrd.
const INITRD: &str = include_str!("vmtest-initrd.sh");

/// The command that runs `true`, with all it needs installed; an error where the kernel cannot do
/// what vmtest needs of it.
pub async fn command(wanted: &Wanted) -> Result<Command> {
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

/// That of its package.
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

/// A QEMU with an initrd. vmtest takes `/dev/kvm` for a KVM that works; where it does not, that is taken
/// back.
fn script(emulated: bool, initrd: &Path) -> String {
    let initrd = initrd.display();
    let without_kvm = match emulated {
        true => "-enable-kvm) arguments+=(-accel tcg) ;;\n        host) arguments+=(max) ;;",
        false => "",
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

//! vmtest, from crates.io. It mounts a folder of the host as the guest's root by 9p, which a kernel
//! must have built in, and talks to QEMU's guest agent there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::process::Command;

use super::{Wanted, install};
use crate::common::Result;

const NAME: &str = "vmtest";
const VERSION: &str = "0.18.0";
/// In its root.
const PACKAGES: &str = "qemu-guest-agent";
/// vmtest takes `/dev/kvm` for a KVM that works; this takes it back.
const EMULATED: &str = r#"#!/bin/bash
arguments=()
for argument; do
    case $argument in
        -enable-kvm) arguments+=(-accel tcg) ;;
        host) arguments+=(max) ;;
        *) arguments+=("$argument") ;;
    esac
done
exec qemu-system-x86_64 "${arguments[@]}"
"#;

/// The command that runs `true`, with all it needs installed; an error where the kernel cannot do
/// what vmtest needs of it.
pub async fn command(wanted: &Wanted) -> Result<Command> {
    let folder = &wanted.folder;
    let program = install::from_crates(folder, NAME, VERSION, &[]).await?;
    let root = install::debian_root(folder, NAME, &wanted.suite, PACKAGES).await?;
    let file = folder.join("vmtest.toml");
    std::fs::write(&file, configuration(wanted, &root)?)?;
    let mut command = Command::new(program);
    command.arg("--config").arg(file);
    Ok(command)
}

fn configuration(wanted: &Wanted, root: &Path) -> Result<String> {
    let mut qemu = String::new();
    if wanted.emulated {
        let script = wanted.folder.join("vmtest-qemu");
        std::fs::write(&script, EMULATED)?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        qemu = format!("qemu_command = {script:?}\n");
    }
    let (kernel, memory, cpus) = (&wanted.kernel, wanted.memory, wanted.cpus);
    Ok(format!(
        "[[target]]\nname = \"true\"\nkernel = {kernel:?}\nrootfs = {root:?}\n{qemu}command = \"true\"\n\
         [target.vm]\nnum_cpus = {cpus}\nmemory = \"{memory}M\"\n"
    ))
}

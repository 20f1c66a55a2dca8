//! Profiles: the machines that QEMU can pretend to be (`qemu-profiles/*.yaml`), strictly read.
//!
//! A profile says what the machine is, [`Profile::resolve`] decides what this host makes of it.

mod resolve;
pub mod schema;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use resolve::ovmf;
pub use resolve::{Accelerator, ResolvedFirmware, ResolvedProfile, Unreachable};
pub use values::{Budget, Cpus, Firmware, KernelArgument, Mib};

use yaml::{ConsoleRules, SourceError, read_yaml};

/// A machine that QEMU can pretend to be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name; the file is called `NAME.yaml`.
    pub name: String,
    /// What it stands for, for those who choose one.
    pub about: String,
    /// The board.
    pub machine: Board,
    /// Memory in MiB; a scenario may ask for another size.
    pub memory: Mib,
    /// Virtual processors.
    pub cpus: Cpus,
    /// What executes the guest's instructions.
    #[serde(default)]
    pub accel: Accel,
    /// Where the operating system comes from.
    #[serde(default)]
    pub boot: Boot,
    /// `seabios`, `ovmf` (UEFI), or the absolute path of a firmware image.
    #[serde(default)]
    pub firmware: Firmware,
    /// Blank disks that the machine always has.
    #[serde(default)]
    pub disks: Vec<ProfileDisk>,
    /// What the disks that a scenario adds are attached to, and the config drive.
    #[serde(default)]
    pub disk_bus: Bus,
    /// Network.
    #[serde(default)]
    pub network: Network,
    /// Kernel arguments, before those of a scenario.
    #[serde(default)]
    pub kernel_arguments: Vec<KernelArgument>,
    /// By when a boot should have reached a stage, since the kernel began, on the reference host.
    /// A boot that is slower is warned of, and no verdict changes.
    #[serde(default)]
    pub budgets: BTreeMap<String, Budget>,
    /// Lines of the console that fail a trial beside those that are known, and such that do not.
    #[serde(default, skip_serializing_if = "ConsoleRules::is_empty")]
    pub console: ConsoleRules,
}

impl Profile {
    /// Whether disks of it are attached to this, or those would be that a scenario adds.
    pub fn has_disks_on(&self, bus: Bus) -> bool {
        self.disk_bus == bus || self.disks.iter().any(|disk| disk.bus == bus)
    }
}

/// The board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Board {
    /// PCI Express, as machines since about 2009.
    Q35,
    /// PCI, as machines before that (i440FX).
    Pc,
}

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// KVM where it was proven to boot a kernel, else TCG.
    #[default]
    Auto,
    /// The processor itself; a host where that is not proven cannot run the profile.
    Kvm,
    /// QEMU's emulation, on every host.
    Tcg,
}

/// Where the operating system comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// QEMU hands kernel, initrd and kernel arguments over.
    #[default]
    Kernel,
    /// The firmware finds a boot loader on a disk. The harness can then put nothing on the kernel
    /// command line; the right machine is known by its host key only.
    Disk,
}

/// A blank disk.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileDisk {
    /// What it is attached to.
    #[serde(default)]
    pub bus: Bus,
    /// Size in MiB.
    pub size: Mib,
}

/// What a disk is attached to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// virtio-blk (`/dev/vda`).
    #[default]
    Virtio,
    /// virtio-scsi (`/dev/sda`).
    Scsi,
    /// NVMe (`/dev/nvme0n1`).
    Nvme,
    /// AHCI (`/dev/sda`).
    Sata,
}

/// Network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// One virtio-net card behind QEMU's own NAT; a host port leads to the guest's SSH.
    #[default]
    User,
    /// No card at all: no SSH, no Docker API; serial line and boot events remain.
    None,
}

/// All profiles of a folder, by name.
///
/// # Errors
/// The first file that is wrong.
pub fn load_all(folder: &Path) -> Result<Vec<Profile>, SourceError> {
    let unreadable =
        |e: std::io::Error| problem(folder, None, format!("cannot be read: {e}"), None);
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|e| e == "yaml") {
            files.push(file);
        }
    }
    files.sort();
    files.iter().map(|file| load(file)).collect()
}

/// One profile.
///
/// # Errors
/// What is wrong with the file.
pub fn load(file: &Path) -> Result<Profile, SourceError> {
    let profile: Profile = read_yaml(file)?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    if profile.name != stem {
        return Err(problem(
            file,
            line_of(file, "name:"),
            format!("the name `{}` is not the name of the file", profile.name),
            Some(format!("write `name: {stem}`, or rename the file")),
        ));
    }
    let sata = profile.disks.iter().filter(|d| d.bus == Bus::Sata).count();
    if sata > SATA_PORTS {
        return Err(problem(
            file,
            line_of(file, "disks:"),
            format!("{sata} sata disks, and the controller has {SATA_PORTS} ports"),
            Some("put some of them on another bus".into()),
        ));
    }
    Ok(profile)
}

/// Ports of the AHCI controller that QEMU offers.
pub(crate) const SATA_PORTS: usize = 6;

fn line_of(file: &Path, key: &str) -> Option<usize> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines()
        .position(|line| line.starts_with(key))
        .map(|n| n + 1)
}

fn problem(file: &Path, line: Option<usize>, message: String, hint: Option<String>) -> SourceError {
    SourceError {
        line,
        hint: hint.map(Into::into),
        ..SourceError::in_file(file, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Profile, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        load(&file)
    }

    const LEAST: &str = "name: least\nabout: little\nmachine: pc\nmemory: 512\ncpus: 1\n";

    #[test]
    fn the_profiles_of_this_tree_are_good() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../qemu-profiles");
        let names: Vec<_> = load_all(&folder)
            .unwrap()
            .into_iter()
            .map(|p| p.name)
            .collect();
        assert!(
            ["pc", "q35"]
                .iter()
                .all(|name| names.iter().any(|n| n == name)),
            "{names:?}"
        );
    }

    #[test]
    fn defaults_are_filled_in() {
        let profile = read("least.yaml", LEAST).unwrap();
        assert_eq!((profile.accel, profile.boot), (Accel::Auto, Boot::Kernel));
        assert_eq!(
            (profile.disk_bus, profile.network),
            (Bus::Virtio, Network::User)
        );
    }

    #[test]
    fn wrong_files_are_refused() {
        for (text, message) in [
            (
                LEAST.replace("least", "most"),
                "is not the name of the file",
            ),
            (format!("{LEAST}colour: red\n"), "colour"),
            (LEAST.replace("512", "3"), "at least 16"),
            (LEAST.replace("cpus: 1", "cpus: 0"), "between 1 and 255"),
            (format!("{LEAST}firmware: ovfm\n"), "ovfm"),
            (
                format!("{LEAST}kernel_arguments: [two words]\n"),
                "two words",
            ),
            (
                format!("{LEAST}budgets: {{started: fast}}\n"),
                "write `20s` or `2m`",
            ),
            (format!("{LEAST}budgets: {{started: 0s}}\n"), "no time"),
            (
                format!("{LEAST}disks:\n{}", "- {bus: sata, size: 64}\n".repeat(7)),
                "6 ports",
            ),
        ] {
            let error = read("least.yaml", &text).unwrap_err();
            assert!(
                error.message.contains(message),
                "{} lacks {message}",
                error.message
            );
        }
    }
}

//! Profiles: the machines that QEMU emulates (`qemu-profiles/*.yaml`), parsed strictly.
//!
//! A profile describes a machine; [`Profile::resolve`] decides how this host runs it.

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

/// A machine that QEMU emulates.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name of the profile. The file must be called `NAME.yaml`.
    pub name: String,
    /// Description, for users who choose a profile.
    pub about: String,
    /// The board.
    pub machine: Board,
    /// Memory in MiB. A scenario may set another size.
    pub memory: Mib,
    /// Virtual processors.
    pub cpus: Cpus,
    /// The accelerator that executes the guest's instructions.
    #[serde(default)]
    pub accel: Accel,
    /// The source of the operating system.
    #[serde(default)]
    pub boot: Boot,
    /// `seabios`, `ovmf` (UEFI), or the absolute path of a firmware image.
    #[serde(default)]
    pub firmware: Firmware,
    /// Blank disks that the machine always has.
    #[serde(default)]
    pub disks: Vec<ProfileDisk>,
    /// The bus of the config drive and of disks that a scenario adds.
    #[serde(default)]
    pub disk_bus: Bus,
    /// Network.
    #[serde(default)]
    pub network: Network,
    /// Kernel arguments, before those of a scenario.
    #[serde(default)]
    pub kernel_arguments: Vec<KernelArgument>,
    /// Time limits for the stages of a boot, measured from the start of the kernel, on the reference
    /// host. A slower boot causes a warning; the verdict does not change.
    #[serde(default)]
    pub budgets: BTreeMap<String, Budget>,
    /// Console lines that fail a trial, in addition to the built-in patterns, and allowed lines.
    #[serde(default, skip_serializing_if = "ConsoleRules::is_empty")]
    pub console: ConsoleRules,
}

impl Profile {
    /// Whether the profile attaches its own disks, or disks that a scenario adds, to this bus.
    pub fn has_disks_on(&self, bus: Bus) -> bool {
        self.disk_bus == bus || self.disks.iter().any(|disk| disk.bus == bus)
    }
}

impl Default for Profile {
    /// A q35 machine with two processors, 1024 MiB of memory, virtio devices and a serial console.
    fn default() -> Self {
        Self {
            name: "q35".into(),
            about: "PCI Express and virtio.".into(),
            machine: Board::Q35,
            memory: Mib::DEFAULT,
            cpus: Cpus::DEFAULT,
            accel: Accel::default(),
            boot: Boot::default(),
            firmware: Firmware::default(),
            disks: Vec::new(),
            disk_bus: Bus::default(),
            network: Network::default(),
            kernel_arguments: vec![KernelArgument::serial_console()],
            budgets: BTreeMap::new(),
            console: ConsoleRules::default(),
        }
    }
}

/// The board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Board {
    /// PCI Express, as in machines since about 2009.
    Q35,
    /// PCI, as in older machines (i440FX).
    Pc,
}

/// The accelerator that executes the guest's instructions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// KVM if it was proven to boot a kernel on this host, else TCG.
    #[default]
    Auto,
    /// The processor itself. A host on which KVM is not proven cannot run the profile.
    Kvm,
    /// QEMU's emulation, available on every host.
    Tcg,
}

/// The source of the operating system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// QEMU loads the kernel and the initrd and passes the kernel arguments.
    #[default]
    Kernel,
    /// The firmware finds a boot loader on a disk. The harness then cannot set kernel arguments, and
    /// identifies the machine by its host key only.
    Disk,
}

/// A blank disk.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileDisk {
    /// The bus that the disk is attached to.
    #[serde(default)]
    pub bus: Bus,
    /// Size in MiB.
    pub size: Mib,
}

/// The bus that a disk is attached to.
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
    /// One virtio-net card behind QEMU's NAT. A host port is forwarded to the guest's SSH.
    #[default]
    User,
    /// No network card: no SSH and no Docker API. Serial line and boot events remain.
    None,
}

/// Loads all profiles of a folder, sorted by name.
///
/// # Errors
/// The first invalid file.
pub fn load_all(folder: &Path) -> Result<Vec<Profile>, SourceError> {
    let unreadable =
        |e: std::io::Error| problem(folder, None, format!("cannot read the folder: {e}"), None);
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

/// Loads one profile.
///
/// # Errors
/// The file is invalid.
pub fn load(file: &Path) -> Result<Profile, SourceError> {
    let profile: Profile = read_yaml(file)?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    if profile.name != stem {
        return Err(problem(
            file,
            line_of(file, "name:"),
            format!("the name `{}` differs from the file name", profile.name),
            Some(format!("write `name: {stem}`, or rename the file")),
        ));
    }
    let sata = profile.disks.iter().filter(|d| d.bus == Bus::Sata).count();
    if sata > SATA_PORTS {
        return Err(problem(
            file,
            line_of(file, "disks:"),
            format!("{sata} SATA disks exceed the {SATA_PORTS} ports of the controller"),
            Some("put some disks on another bus".into()),
        ));
    }
    Ok(profile)
}

/// Number of ports of QEMU's AHCI controller.
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
    fn profiles_of_this_repository_are_valid() {
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
    fn missing_keys_get_their_defaults() {
        let profile = read("least.yaml", LEAST).unwrap();
        assert_eq!((profile.accel, profile.boot), (Accel::Auto, Boot::Kernel));
        assert_eq!(
            (profile.disk_bus, profile.network),
            (Bus::Virtio, Network::User)
        );
    }

    #[test]
    fn invalid_files_are_rejected() {
        for (text, message) in [
            (LEAST.replace("least", "most"), "differs from the file name"),
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
            (
                format!("{LEAST}budgets: {{started: 0s}}\n"),
                "must not be zero",
            ),
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

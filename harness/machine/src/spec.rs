//! What a machine is asked to be.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CardNetwork, Metadata, Volume};
use crate::profile::ResolvedProfile;
use crate::services::registry::RegistrySpec;
use yaml::ConsoleRules;

/// A disk beside those of the profile.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disk {
    /// An empty disk, gone with the machine.
    Blank(Blank),
    /// A file that is kept and written (the state disk of `harness run`), raw or qcow2.
    Kept(PathBuf),
    /// A file that is never written: an overlay goes on top.
    Base(PathBuf),
}

/// An empty disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Blank {
    /// Size in MiB.
    pub mib: u64,
    /// When set, formatted as ext4 with this filesystem label.
    pub label: Option<String>,
    /// When set, it has a partition of this name (GPT), in which the file system is.
    pub partition: Option<String>,
}

/// All that a machine is made from.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// The resolved profile.
    pub profile: ResolvedProfile,
    /// Kernel image.
    pub kernel: PathBuf,
    /// Initrd.
    pub initrd: Option<PathBuf>,
    /// Kernel arguments beside those of the profile.
    pub kernel_args: Vec<String>,
    /// MiB, when not the profile's.
    pub memory: Option<u64>,
    /// Disks beside the profile's.
    pub disks: Vec<Disk>,
    /// `openstack/latest/user_data` of a config drive; none means no drive.
    pub user_data: Option<String>,
    /// More volumes that tell it something.
    pub volumes: Vec<Volume>,
    /// What `http://169.254.169.254/` tells it.
    pub metadata: Metadata,
    /// Host port for SSH; none lets QEMU choose.
    pub ssh_port: Option<u16>,
    /// Whether memory can be taken from it while it runs.
    pub balloon: bool,
    /// The disks have a write cache that [`Machine::power_cut`](super::Machine::power_cut) empties.
    pub write_cache: bool,
    /// The registry beside it.
    pub registry: Option<RegistrySpec>,
    /// Whether it reaches this host and what lies beyond it, and not only its fixtures.
    pub outside: bool,
    /// What the network of the first card tells it.
    pub first_card: CardNetwork,
    /// Network cards beside it.
    pub cards: Vec<CardNetwork>,
    /// What is thought of lines of its console beside what the profile says.
    pub console: ConsoleRules,
}

impl MachineSpec {
    /// What a profile says and these files, and nothing else.
    pub fn new(profile: ResolvedProfile, kernel: &Path, initrd: Option<&Path>) -> Self {
        Self {
            profile,
            kernel: kernel.into(),
            initrd: initrd.map(Path::to_owned),
            kernel_args: vec![],
            memory: None,
            disks: vec![],
            user_data: None,
            volumes: vec![],
            metadata: Metadata::new(),
            ssh_port: None,
            balloon: false,
            write_cache: false,
            registry: None,
            outside: false,
            first_card: CardNetwork::default(),
            cards: vec![],
            console: ConsoleRules::default(),
        }
    }

    /// Memory in MiB.
    pub fn memory_mib(&self) -> u64 {
        self.memory.unwrap_or(self.profile.profile.memory.get())
    }

    /// All that its kernel is told but for the word that says which machine it is: what its accelerator
    /// asks for, what its profile says, and its own, so that the last word is the machine's.
    pub fn kernel_arguments(&self) -> Vec<String> {
        let accelerator = self.profile.accelerator.kernel_arguments().iter().copied();
        let profile = self.profile.profile.kernel_arguments.iter();
        accelerator
            .chain(profile.map(|word| word.as_str()))
            .chain(self.kernel_args.iter().map(String::as_str))
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Accelerator, ResolvedFirmware};

    #[test]
    fn what_a_profile_and_a_machine_say_comes_after_what_emulation_asks_for() {
        let text = "{name: x, about: x, machine: pc, memory: 64, cpus: 1, kernel_arguments: [b]}";
        let profile = ResolvedProfile {
            profile: serde_yaml::from_str(text).unwrap(),
            qemu: PathBuf::new(),
            qemu_version: String::new(),
            accelerator: Accelerator::Tcg { threads: true },
            firmware: ResolvedFirmware::Builtin,
        };
        let mut spec = MachineSpec::new(profile, Path::new("vmlinuz"), None);
        spec.kernel_args = vec!["c".into()];
        assert_eq!(
            spec.kernel_arguments(),
            [
                "norandmaps",
                "no_timer_check",
                "cryptomgr.notests",
                "init_on_alloc=0",
                "initcall_blacklist=jent_mod_init,crypto_kdf108_init",
                "b",
                "c"
            ]
        );
        spec.profile.accelerator = Accelerator::Kvm;
        assert_eq!(spec.kernel_arguments(), ["b", "c"]);
    }
}

//! The specification of a machine.

use crate::disk::Disk;
use std::path::{Path, PathBuf};

use crate::disk::volume::Volume;
use crate::network::card::CardNetwork;
use crate::network::link::Link;
use crate::profile::ResolvedProfile;
use crate::qemu::plugged::SLOTS;
use crate::services::Names;
use crate::services::metadata::Metadata;
use crate::services::registry::RegistrySpec;
use yaml::ConsoleRules;

/// The specification of a machine.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// The resolved profile.
    pub profile: ResolvedProfile,
    /// Kernel image.
    pub kernel: PathBuf,
    /// Initrd.
    pub initrd: Option<PathBuf>,
    /// Kernel arguments in addition to those of the profile.
    pub kernel_args: Vec<String>,
    /// Memory in MiB, if it differs from the profile's.
    pub memory: Option<u64>,
    /// Disks in addition to those of the profile.
    pub disks: Vec<Disk>,
    /// `openstack/latest/user_data` of a config drive; `None` means no drive.
    pub user_data: Option<String>,
    /// Further volumes with seed data.
    pub volumes: Vec<Volume>,
    /// Pages of the cloud metadata at `http://169.254.169.254/`.
    pub metadata: Metadata,
    /// Host port for SSH; `None` picks a free one.
    pub ssh_port: Option<u16>,
    /// Whether it has a balloon, so that memory can be taken from it while it runs.
    pub balloon: bool,
    /// Whether the disks have a write cache that [`Machine::power_cut`](crate::vm::Machine::power_cut) empties.
    pub write_cache: bool,
    /// The registry of the machine.
    pub registry: Option<RegistrySpec>,
    /// Whether its network is unfiltered: it reaches this host and the networks beyond, not only its
    /// fixtures.
    pub outside: bool,
    /// Settings of the network of the first card.
    pub first_card: CardNetwork,
    /// Further network cards.
    pub cards: Vec<CardNetwork>,
    /// Slots of a q35 for devices that are plugged in while it runs, links included. Each costs about 0.2 s of an
    /// emulated boot.
    pub slots: usize,
    /// Links to networks between machines, one card each. A fork gets them as soon as it runs.
    pub links: Vec<Link>,
    /// Names of other machines, which the name server of the first network knows.
    pub names: Names,
    /// Rules for console lines, in addition to those of the profile.
    pub console: ConsoleRules,
}

impl MachineSpec {
    /// A machine with only a profile and these files.
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
            slots: SLOTS,
            links: vec![],
            names: Names::new(),
            console: ConsoleRules::default(),
        }
    }

    /// Memory in MiB.
    pub fn memory_mib(&self) -> u64 {
        self.memory.unwrap_or(self.profile.profile.memory.get())
    }

    /// All kernel arguments except the nonce: those of the accelerator, then of the profile, then its own.
    /// The later ones take precedence.
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
    fn kernel_arguments_are_ordered_accelerator_profile_machine() {
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

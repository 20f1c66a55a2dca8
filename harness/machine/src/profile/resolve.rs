//! What this host makes of a profile: QEMU, the accelerator, firmware files.

use std::path::{Path, PathBuf};
use std::sync::Once;

use super::{Accel, Firmware, Profile};
use host::kvm;
use host::qemu::{self, Qemu};

/// Why this host cannot run a profile, said so that a person knows what to install.
#[derive(Debug, Clone, thiserror::Error)]
#[error("profile {profile}: {why}; {hint}")]
pub struct Unreachable {
    /// Profile name.
    pub profile: String,
    /// What is missing.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// A profile with everything decided for this host: accelerator, paths of firmware.
#[derive(Debug, Clone)]
pub struct ResolvedProfile {
    /// The file's content.
    pub profile: Profile,
    /// `qemu-system-x86_64` as found.
    pub qemu: PathBuf,
    /// Its version.
    pub qemu_version: String,
    /// What executes the guest.
    pub accelerator: Accelerator,
    /// Firmware files.
    pub firmware: ResolvedFirmware,
}

/// What executes the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor.
    Kvm,
    /// QEMU's emulation.
    Tcg {
        /// Whether each processor of the guest gets a thread of its own.
        threads: bool,
    },
}

impl Accelerator {
    /// What the kernel of a guest is told because of it.
    ///
    /// `norandmaps`: QEMU keeps what it translated by the address it is at, so that with addresses drawn
    /// at random each process that starts has the C library and its program translated again: 6000
    /// blocks for a shell, a third of a boot.
    ///
    /// `no_timer_check`: the kernel counts interrupts of its timer against turns of a loop, and panics
    /// ("IO-APIC + timer doesn't work!") where a busy host let the one run and not the other. Under KVM
    /// it leaves that out by itself (`arch/x86/kernel/kvm.c`).
    ///
    /// `cryptomgr.notests`: the kernel would try each cipher on known answers before it is used, which
    /// is a twentieth of a boot. `init_on_alloc=0`: Debian's kernel clears memory when it is asked for,
    /// too, in case somebody forgets to; that is nearly as much. `initcall_blacklist`: two more that
    /// test themselves for 0.4 s each, `jitterentropy_rng` (which a machine with virtio-rng does not
    /// draw from) and the key derivation of SP 800-108, whose beginning is nothing but its test.
    pub fn kernel_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &[],
            Self::Tcg { .. } => &[
                "norandmaps",
                "no_timer_check",
                "cryptomgr.notests",
                "init_on_alloc=0",
                "initcall_blacklist=jent_mod_init,crypto_kdf108_init",
            ],
        }
    }

    /// The processor of a guest, as `-cpu` has it: the widest that there is, so that what is built for
    /// the host runs in the guest, without what costs an emulator more than it gives.
    ///
    /// `erms` and `fsrm` have the kernel copy and clear memory a byte at a time (`rep movsb`), of which
    /// QEMU makes a loop; without them it does so by eight. `la57` has page tables of five levels, which
    /// QEMU walks in software; `smap` changes the processor's state around each copy from a program, and
    /// QEMU ends a block of translated code at each change.
    pub fn processor(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Tcg { .. } => "max,erms=off,fsrm=off,la57=off,smap=off",
        }
    }
}

/// Firmware as files of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedFirmware {
    /// QEMU brings its own SeaBIOS.
    Builtin,
    /// UEFI: code that is only read, and variables of which each machine gets a copy.
    Flash {
        /// The code.
        code: PathBuf,
        /// Empty variables.
        vars: PathBuf,
    },
    /// An image for `-bios`.
    Bios(PathBuf),
}

/// Where distributions put UEFI: code and variables.
const OVMF: [(&str, &str); 3] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
];

impl Profile {
    /// Resolves against the host, without the KVM proof (cheap; used at list time).
    ///
    /// # Errors
    /// What this host lacks.
    pub fn check_host(&self) -> Result<(), Unreachable> {
        self.find_qemu()?;
        self.find_firmware()?;
        match self.accel {
            Accel::Kvm => kvm::device().map_err(|why| self.no_kvm(why)),
            Accel::Auto | Accel::Tcg => Ok(()),
        }
    }

    /// Resolves against the host; `accel: auto` uses the (cached) proof with `kernel`.
    ///
    /// # Errors
    /// What this host lacks.
    pub fn resolve(&self, kernel: &Path) -> Result<ResolvedProfile, Unreachable> {
        let qemu = self.find_qemu()?;
        Ok(ResolvedProfile {
            accelerator: self.accelerator(&qemu, kernel)?,
            firmware: self.find_firmware()?,
            profile: self.clone(),
            qemu: qemu.path,
            qemu_version: qemu.version,
        })
    }

    fn accelerator(&self, qemu: &Qemu, kernel: &Path) -> Result<Accelerator, Unreachable> {
        let emulation = Accelerator::Tcg {
            threads: qemu.threads_are_safe(),
        };
        let proof = match self.accel {
            Accel::Tcg => return Ok(emulation),
            Accel::Auto | Accel::Kvm => kvm::prove(qemu, kernel),
        };
        match (proof, self.accel) {
            (Ok(()), _) => Ok(Accelerator::Kvm),
            (Err(why), Accel::Kvm) => Err(self.no_kvm(why)),
            (Err(why), _) => {
                say_emulated(&why);
                Ok(emulation)
            }
        }
    }

    fn find_qemu(&self) -> Result<Qemu, Unreachable> {
        qemu::find().map_err(|why| self.unreachable(why, qemu::HINT.into()))
    }

    fn find_firmware(&self) -> Result<ResolvedFirmware, Unreachable> {
        match &self.firmware {
            Firmware::Seabios => Ok(ResolvedFirmware::Builtin),
            Firmware::Ovmf => ovmf().ok_or_else(|| {
                let why = format!("the firmware `ovmf` is not there ({})", OVMF[0].0);
                self.unreachable(why, "apt install ovmf".into())
            }),
            Firmware::File(path) if path.is_file() => Ok(ResolvedFirmware::Bios(path.clone())),
            Firmware::File(path) => Err(self.unreachable(
                format!("the firmware {} is not there", path.display()),
                "put it there, or name `seabios` or `ovmf` (apt install ovmf)".into(),
            )),
        }
    }

    fn no_kvm(&self, why: String) -> Unreachable {
        self.unreachable(why, "use a host with KVM, or `accel: auto`".into())
    }

    fn unreachable(&self, why: String, hint: String) -> Unreachable {
        Unreachable {
            profile: self.name.clone(),
            why,
            hint,
        }
    }
}

/// UEFI of this host.
pub fn ovmf() -> Option<ResolvedFirmware> {
    OVMF.iter()
        .find(|(code, vars)| Path::new(code).is_file() && Path::new(vars).is_file())
        .map(|(code, vars)| ResolvedFirmware::Flash {
            code: code.into(),
            vars: vars.into(),
        })
}

/// Said once a process: every machine after the first is emulated for the same reason.
fn say_emulated(why: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| eprintln!("note: machines are emulated (TCG), which is slower: {why}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_firmware_names_the_file_and_what_to_do() {
        let profile: Profile = serde_yaml::from_str(
            "{name: x, about: x, machine: pc, memory: 64, cpus: 1, firmware: /nowhere/uefi.fd}",
        )
        .unwrap();
        let error = profile.find_firmware().unwrap_err().to_string();
        insta::assert_snapshot!(error, @"profile x: the firmware /nowhere/uefi.fd is not there; put it there, or name `seabios` or `ovmf` (apt install ovmf)");
    }
}

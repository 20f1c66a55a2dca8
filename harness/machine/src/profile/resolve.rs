//! Resolves a profile on this host: QEMU, accelerator, firmware files.

use std::path::{Path, PathBuf};
use std::sync::Once;

use super::{Accel, Firmware, Profile};
use host::kvm;
use host::qemu::{self, Qemu};

/// Why this host cannot run a profile.
#[derive(Debug, Clone, thiserror::Error)]
#[error("profile {profile}: {why}; hint: {hint}")]
pub struct Unreachable {
    /// Profile name.
    pub profile: String,
    /// What is missing.
    pub why: String,
    /// What to install or change.
    pub hint: String,
}

/// A profile with all decisions for this host: accelerator, paths of firmware.
#[derive(Debug, Clone)]
pub struct ResolvedProfile {
    /// The content of the profile file.
    pub profile: Profile,
    /// The path of `qemu-system-x86_64`.
    pub qemu: PathBuf,
    /// The version of QEMU.
    pub qemu_version: String,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Firmware files.
    pub firmware: ResolvedFirmware,
}

/// The accelerator, as decided for this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// Hardware virtualization (KVM).
    Kvm,
    /// QEMU's emulation (TCG).
    Tcg {
        /// Whether each virtual processor has a thread of its own.
        threads: bool,
    },
}

impl Accelerator {
    /// Kernel arguments that the accelerator needs.
    ///
    /// | argument | reason |
    /// |---|---|
    /// | `norandmaps` | QEMU caches translated code by address |
    /// | `no_timer_check` | the kernel panics on a busy host |
    /// | `cryptomgr.notests` | self-tests take a twentieth of a boot |
    /// | `init_on_alloc=0` | clearing memory on allocation takes nearly as long |
    /// | `initcall_blacklist` | two more self-tests take 0.4 s each |
    ///
    /// `norandmaps`: with random addresses, QEMU translates the C library and the program again for each
    /// process: 6000 blocks for a shell, a third of a boot.
    ///
    /// `no_timer_check`: the kernel compares timer interrupts with turns of a loop, and panics ("IO-APIC +
    /// timer doesn't work!") if a busy host runs one but not the other. Under KVM it skips the check
    /// itself (`arch/x86/kernel/kvm.c`).
    ///
    /// `cryptomgr.notests`: the kernel would test each cipher with known answers before its first use.
    /// `init_on_alloc=0`: Debian's kernel clears memory on allocation, as hardening.
    /// `initcall_blacklist`: the self-tests are those of `jitterentropy_rng`, which a machine with
    /// virtio-rng does not use, and of the key derivation of SP 800-108, whose initialization is
    /// nothing but its test.
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

    /// The value of `-cpu`. It has all features that are available, so that programs built for the host
    /// run in the guest, except those that cost an emulator more than they give.
    ///
    /// `erms` and `fsrm` make the kernel copy and clear memory by single bytes (`rep movsb`), which QEMU
    /// executes as a loop; without them it uses eight bytes at a time. `la57` enables page tables of five
    /// levels, which QEMU walks in software. `smap` changes the processor state around each copy from a
    /// program, and QEMU ends a block of translated code at each change.
    pub fn processor(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Tcg { .. } => "max,erms=off,fsrm=off,la57=off,smap=off",
        }
    }
}

/// Firmware as files on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedFirmware {
    /// The SeaBIOS that is built into QEMU.
    Builtin,
    /// UEFI: read-only code, and variables, of which each machine gets a copy.
    Flash {
        /// The code.
        code: PathBuf,
        /// Initial variables.
        vars: PathBuf,
    },
    /// An image for `-bios`.
    Bios(PathBuf),
}

/// Paths of UEFI code and variables in several distributions.
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
    /// Checks that this host can run the profile, without proving KVM. Cheap; used to list profiles.
    ///
    /// # Errors
    /// This host lacks something.
    pub fn check_host(&self) -> Result<(), Unreachable> {
        self.find_qemu()?;
        self.find_firmware()?;
        match self.accel {
            Accel::Kvm => kvm::device().map_err(|why| self.no_kvm(why)),
            Accel::Auto | Accel::Tcg => Ok(()),
        }
    }

    /// Resolves the profile on this host. `accel: auto` uses the cached proof of KVM with `kernel`.
    ///
    /// # Errors
    /// This host lacks something.
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
                log_emulation(&why);
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
                let why = format!("the firmware `ovmf` is not installed ({})", OVMF[0].0);
                self.unreachable(why, "apt install ovmf".into())
            }),
            Firmware::File(path) if path.is_file() => Ok(ResolvedFirmware::Bios(path.clone())),
            Firmware::File(path) => Err(self.unreachable(
                format!("firmware file {} not found", path.display()),
                "correct the path, or use `seabios` or `ovmf` (apt install ovmf)".into(),
            )),
        }
    }

    fn no_kvm(&self, why: String) -> Unreachable {
        self.unreachable(why, "use a host with KVM, or set `accel: auto`".into())
    }

    fn unreachable(&self, why: String, hint: String) -> Unreachable {
        Unreachable {
            profile: self.name.clone(),
            why,
            hint,
        }
    }
}

/// The UEFI firmware of this host.
pub fn ovmf() -> Option<ResolvedFirmware> {
    OVMF.iter()
        .find(|(code, vars)| Path::new(code).is_file() && Path::new(vars).is_file())
        .map(|(code, vars)| ResolvedFirmware::Flash {
            code: code.into(),
            vars: vars.into(),
        })
}

/// Logs the reason for emulation once per process; it is the same for every machine.
fn log_emulation(why: &str) {
    static LOGGED: Once = Once::new();
    LOGGED.call_once(|| log::info!("machines are emulated (TCG), which is slower: {why}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_firmware_names_the_file_and_a_hint() {
        let profile: Profile = serde_yaml::from_str(
            "{name: x, about: x, machine: pc, memory: 64, cpus: 1, firmware: /nowhere/uefi.fd}",
        )
        .unwrap();
        let error = profile.find_firmware().unwrap_err().to_string();
        insta::assert_snapshot!(error, @"profile x: firmware file /nowhere/uefi.fd not found; hint: correct the path, or use `seabios` or `ovmf` (apt install ovmf)");
    }
}

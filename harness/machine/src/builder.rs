//! Machines for code that has no profile files: a builder with sensible defaults.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::profile::{Profile, Unreachable};
use crate::spec::MachineSpec;

/// Builds a [`MachineSpec`] for this host.
///
/// The defaults are a q35 machine with two processors, 1024 MiB of memory, virtio devices, one network card
/// and a serial console. KVM runs it where a kernel is proven to boot under it, else QEMU's emulation.
///
/// # Examples
/// Boots a kernel and an initrd, waits for the guest, and runs a command. A guest panic or QEMU's exit ends
/// each wait at once.
///
/// ```no_run
/// use std::time::Duration;
///
/// use machine::{KeyPair, LogDir, Login, Machine, MachineBuilder};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyPair::generate();
/// let spec = MachineBuilder::new("vmlinuz", "initrd")
///     .memory_mib(1024)
///     .user_data(format!("#cloud-config\nssh_authorized_keys: ['{}']\n", keys.public))
///     .build()?;
/// let machine = Machine::start(spec, &LogDir::new("logs")).await?;
/// let limit = Duration::from_secs(150);
/// machine.wait_ready(limit).await?;
/// let ssh = machine.ssh(&Login::with_key("rancher", &keys), limit).await?;
/// let output = ssh.run("docker info", limit).await?;
/// assert_eq!(output.exit, Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MachineBuilder {
    profile: Profile,
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    memory: Option<u64>,
    kernel_arguments: Vec<String>,
    disks: Vec<Disk>,
    user_data: Option<String>,
    balloon: bool,
    outside: bool,
}

impl MachineBuilder {
    /// A machine that boots this kernel and this initrd.
    pub fn new(kernel: impl Into<PathBuf>, initrd: impl Into<PathBuf>) -> Self {
        Self::with_profile(Profile::default(), kernel.into(), Some(initrd.into()))
    }

    /// A machine with a profile of one's own, for example one whose firmware boots from a disk. The kernel
    /// also proves KVM on this host.
    pub fn with_profile(profile: Profile, kernel: PathBuf, initrd: Option<PathBuf>) -> Self {
        Self {
            profile,
            kernel,
            initrd,
            memory: None,
            kernel_arguments: Vec::new(),
            disks: Vec::new(),
            user_data: None,
            balloon: false,
            outside: false,
        }
    }

    /// Memory in MiB.
    #[must_use]
    pub fn memory_mib(mut self, mib: u64) -> Self {
        self.memory = Some(mib);
        self
    }

    /// Adds a kernel argument.
    #[must_use]
    pub fn kernel_argument(mut self, argument: impl Into<String>) -> Self {
        self.kernel_arguments.push(argument.into());
        self
    }

    /// Adds a disk.
    #[must_use]
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// User data on a config drive (`openstack/latest/user_data`).
    #[must_use]
    pub fn user_data(mut self, text: impl Into<String>) -> Self {
        self.user_data = Some(text.into());
        self
    }

    /// Adds a balloon, so that [`Machine::set_balloon`](crate::Machine::set_balloon) can take memory.
    #[must_use]
    pub fn balloon(mut self) -> Self {
        self.balloon = true;
        self
    }

    /// Lets the guest reach this host and the networks beyond. The default lets it reach nothing.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// The specification, with QEMU and the accelerator of this host.
    ///
    /// # Errors
    /// What this host lacks, and how to get it.
    pub fn build(self) -> Result<MachineSpec, Unreachable> {
        let profile = self.profile.resolve(&self.kernel)?;
        let initrd: Option<&Path> = self.initrd.as_deref();
        Ok(MachineSpec {
            kernel_args: self.kernel_arguments,
            memory: self.memory,
            disks: self.disks,
            user_data: self.user_data,
            balloon: self.balloon,
            outside: self.outside,
            ..MachineSpec::new(profile, &self.kernel, initrd)
        })
    }
}

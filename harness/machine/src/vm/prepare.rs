//! Turns a machine specification into a QEMU plan, and creates the files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::machine::HOST_ADDRESS;
use super::start::StartMode;
use crate::disk::Disk;
use crate::disk::Drive;
use crate::disk::image;
use crate::disk::volume;
use crate::disk::volume::Volume;
use crate::error::MachineError;
use crate::log_dir::LogDir;
use crate::network::gate::Gate;
use crate::profile::{Board, Boot, Network, ResolvedFirmware};
use crate::qemu::kernel;
use crate::qemu::launch;
use crate::qemu::nonce::{self, random_nonce};
use crate::qemu::plan::{Direct, Incoming, MemoryFile, Plan};
use crate::qemu::script;
use crate::services::metadata;
use crate::services::registry;
use crate::snapshot::checkpoint::{self, Checkpoint};
use crate::spec::MachineSpec;
use base::private_dir::PrivateFolder;
use host::{disk_space, port};

/// Finds errors that can be detected without starting anything.
pub(crate) fn check(spec: &MachineSpec) -> Result<(), String> {
    if spec.profile.profile.boot == Boot::Kernel {
        kernel::check_kernel(&spec.kernel)?;
        if let Some(initrd) = &spec.initrd {
            kernel::check_initrd(initrd)?;
        }
        let (memory, least) = (
            spec.memory_mib(),
            kernel::least_memory(spec.initrd.as_deref()),
        );
        if memory < least {
            return Err(format!(
                "{memory} MiB of memory cannot hold the kernel and its initrd; hint: set at least {least} MiB"
            ));
        }
    }
    if spec.profile.profile.machine == Board::Q35 && spec.links.len() > spec.slots {
        let (links, slots) = (spec.links.len(), spec.slots);
        return Err(format!(
            "{links} links need {links} slots, and the machine has {slots}; hint: raise `slots`"
        ));
    }
    let persists = |disk: &Disk| matches!(disk, Disk::Kept(_));
    if spec.write_cache && spec.disks.iter().any(persists) {
        return Err("a persistent disk cannot have a write cache".into());
    }
    spec.ssh_port.map_or(Ok(()), port::check_free)
}

/// Creates the files in the private folder, and writes to the evidence what starts the machine again.
pub(crate) fn prepare(
    spec: &MachineSpec,
    mode: &StartMode<'_>,
    nonce: &str,
    port: Option<&port::ReservedPort>,
    folder: &PrivateFolder,
    logs: &LogDir,
) -> Result<Plan, MachineError> {
    let profile = &spec.profile.profile;
    check_disk_space(spec, mode)?;
    let drives = match mode {
        StartMode::Fork(checkpoint) => checkpoint.drives(folder, logs)?,
        StartMode::ForkForCheckpoint(checkpoint, into) => {
            checkpoint.copy_memory(into)?;
            checkpoint.copied_drives(folder, logs)?
        }
        StartMode::Restore(snapshot) => snapshot.drives(folder)?,
        StartMode::ColdBoot | StartMode::ColdBootForCheckpoint(_) => {
            let mut drives = image::make(profile, &spec.disks, folder)?;
            drives.extend(volumes(spec, folder, logs)?);
            drives
        }
    };
    let mut plan = Plan {
        name: profile.name.clone(),
        board: profile.machine,
        nonce: nonce.into(),
        generation: uuid(&random_nonce()),
        accelerator: spec.profile.accelerator,
        cpus: profile.cpus,
        memory: spec.memory_mib(),
        firmware: spec.profile.firmware.clone(),
        uefi_vars: copy_vars(&spec.profile.firmware, folder)?,
        direct: (profile.boot == Boot::Kernel).then(|| direct(spec, nonce)),
        drives,
        network: profile.network,
        metadata: write_metadata(spec, folder, logs)?,
        ssh_port: port.map_or(0, port::ReservedPort::port),
        memory_file: match mode {
            StartMode::ColdBoot => None,
            StartMode::ColdBootForCheckpoint(folder) | StartMode::ForkForCheckpoint(_, folder) => {
                Some(MemoryFile::Written(folder.join(checkpoint::MEMORY)))
            }
            StartMode::Fork(checkpoint) => Some(MemoryFile::CopiedOnWrite(saved_memory(
                spec, checkpoint, folder,
            )?)),
            StartMode::Restore(snapshot) => {
                snapshot.memory_is_named().then_some(MemoryFile::Unnamed)
            }
        },
        incoming: match mode {
            StartMode::ColdBoot | StartMode::ColdBootForCheckpoint(_) => None,
            StartMode::Fork(checkpoint) | StartMode::ForkForCheckpoint(checkpoint, _) => {
                Some(Incoming::Inherited(checkpoint.file(checkpoint::DEVICES)))
            }
            StartMode::Restore(_) => Some(Incoming::Deferred),
        },
        balloon: spec.balloon,
        registry: spec.registry.as_ref().map(|_| registry::forwarding(folder)),
        gates: gates(spec),
        first_card: spec.first_card.clone(),
        cards: spec.cards.clone(),
        slots: spec.slots,
    };
    write_script(spec, &plan, folder, logs)?;
    if plan.never_boots()
        && let Some(direct) = &mut plan.direct
    {
        let head = folder.file("kernel-head");
        kernel::copy_head(&direct.kernel, &head).map_err(MachineError::Start)?;
        direct.kernel_head = Some(head);
    }
    if spec.write_cache && mode.checkpoint_dir().is_none() {
        cache_writes(&mut plan.drives, folder).map_err(MachineError::Start)?;
    }
    Ok(plan)
}

/// The gates of the networks; none if all packets may pass and QEMU's name server knows all names.
fn gates(spec: &MachineSpec) -> Vec<(String, Gate)> {
    if spec.profile.profile.network != Network::User {
        return vec![];
    }
    let (host, fixture) = if spec.metadata.is_empty() {
        (HOST_ADDRESS, registry::ADDRESS)
    } else {
        (metadata::HOST_ADDRESS, metadata::ADDRESS)
    };
    if spec.outside {
        let open = !spec.names.is_empty();
        return Vec::from_iter(open.then(|| ("net0".into(), Gate::open(host))));
    }
    let cards = (1..).zip(&spec.cards).filter_map(|(number, card)| {
        let host = card.host()?;
        Some((format!("net{number}"), Gate::new(host, vec![])))
    });
    let first = ("net0".into(), Gate::new(host, vec![fixture]));
    std::iter::once(first).chain(cards).collect()
}

/// Checks the disk space for a memory file. The guest fills the file while it runs; if the disk is
/// full then, the kernel kills QEMU (SIGBUS).
fn check_disk_space(spec: &MachineSpec, mode: &StartMode<'_>) -> Result<(), MachineError> {
    let Some(folder) = mode.checkpoint_dir() else {
        return Ok(());
    };
    let what = "the memory of the machine";
    disk_space::check(folder, spec.memory_mib(), what).map_err(MachineError::Start)
}

/// The memory file of a checkpoint. A machine with a balloon gets a copy: QEMU 7.2 punches the pages
/// that the balloon takes out of the file, even if it is mapped copy-on-write, and other forks use it.
fn saved_memory(
    spec: &MachineSpec,
    checkpoint: &Checkpoint,
    folder: &PrivateFolder,
) -> Result<PathBuf, MachineError> {
    if !spec.balloon {
        return Ok(checkpoint.file(checkpoint::MEMORY));
    }
    checkpoint.copy_memory(folder.path())?;
    Ok(folder.file(checkpoint::MEMORY))
}

/// Serves the writable disks from this process.
fn cache_writes(drives: &mut [Drive], folder: &PrivateFolder) -> Result<(), String> {
    let written = drives.iter_mut().filter(|drive| !drive.read_only);
    for (socket, drive) in (launch::DISKS..).zip(written) {
        image::flatten(drive, folder)?;
        drive.socket = Some(socket);
    }
    Ok(())
}

/// Formats 32 hexadecimal digits as a UUID.
fn uuid(digits: &str) -> String {
    let ends = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    ends.map(|(start, end)| &digits[start..end]).join("-")
}

fn direct(spec: &MachineSpec, nonce: &str) -> Direct {
    let mut arguments = spec.kernel_arguments();
    arguments.push(nonce::argument(nonce));
    Direct {
        kernel: absolute(&spec.kernel),
        kernel_head: None,
        initrd: spec.initrd.as_deref().map(absolute),
        append: arguments.join(" "),
    }
}

/// An absolute path, because the script may be run from any folder.
fn absolute(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_path_buf())
}

fn volumes(
    spec: &MachineSpec,
    folder: &PrivateFolder,
    logs: &LogDir,
) -> Result<Vec<Drive>, MachineError> {
    let config = spec.user_data.as_deref().map(Volume::config_drive);
    let config = config.map(|volume| ("config".to_owned(), volume));
    let others = spec.volumes.iter().cloned().enumerate();
    let others = others.map(|(number, volume)| (format!("volume{number}"), volume));
    let write_volume = |(id, volume): (String, Volume)| {
        let name = format!("{id}.img");
        let file = folder.file(&name);
        let made = volume
            .write(&file)
            .and_then(|()| fs::copy(&file, logs.file(&name)).map_err(|e| e.to_string()));
        match made {
            Ok(_) => Ok(volume::drive(&id, file, spec.profile.profile.disk_bus)),
            Err(e) => Err(MachineError::Start(format!("cannot create {name}: {e}"))),
        }
    };
    config.into_iter().chain(others).map(write_volume).collect()
}

/// Writes the metadata pages to the machine's own folder and, for `qemu.sh`, to the evidence.
fn write_metadata(
    spec: &MachineSpec,
    folder: &PrivateFolder,
    logs: &LogDir,
) -> Result<Option<PathBuf>, MachineError> {
    if spec.metadata.is_empty() {
        return Ok(None);
    }
    let pages = folder.file(metadata::FOLDER);
    metadata::write(&spec.metadata, &pages)
        .and_then(|()| metadata::write(&spec.metadata, &logs.file(metadata::FOLDER)))
        .map_err(|e| MachineError::Start(format!("cannot write the metadata: {e}")))?;
    Ok(Some(pages))
}

fn copy_vars(
    firmware: &ResolvedFirmware,
    folder: &PrivateFolder,
) -> Result<Option<PathBuf>, MachineError> {
    let ResolvedFirmware::Flash { vars, .. } = firmware else {
        return Ok(None);
    };
    let copy = folder.file("uefi-vars.fd");
    match fs::copy(vars, &copy) {
        Ok(_) => Ok(Some(copy)),
        Err(error) => Err(MachineError::Start(format!("{}: {error}", vars.display()))),
    }
}

fn write_script(
    spec: &MachineSpec,
    plan: &Plan,
    folder: &PrivateFolder,
    logs: &LogDir,
) -> Result<(), MachineError> {
    let file = logs.file("qemu.sh");
    fs::write(&file, script::text(&spec.profile.qemu, plan, folder.path()))
        .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)))
        .map_err(|e| MachineError::Start(format!("{}: {e}", file.display())))
}

//! From what a machine is asked to be to all that QEMU must be told, with the files made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::gate::Gate;
use super::plan::{Direct, Drive, Incoming, MemoryFile, Plan};
use super::saved::{self, Begin, Saved};
use super::ssh::{identity, random_word};
use super::{
    Disk, HOST_ADDRESS, MachineError, MachineSpec, Volume, artifact, disks, launch, metadata,
    script, volume,
};
use crate::log_dir::LogDir;
use crate::profile::{Boot, Network, ResolvedFirmware};
use crate::services::registry;
use base::private_dir::PrivateFolder;
use host::{disk_space, port};

/// What can be found wrong without starting anything.
pub(super) fn check(spec: &MachineSpec) -> Result<(), String> {
    if spec.profile.profile.boot == Boot::Kernel {
        artifact::check_kernel(&spec.kernel)?;
        if let Some(initrd) = &spec.initrd {
            artifact::check_initrd(initrd)?;
        }
        let (memory, least) = (
            spec.memory_mib(),
            artifact::least_memory(spec.initrd.as_deref()),
        );
        if memory < least {
            return Err(format!(
                "{memory} MiB of memory cannot hold the kernel and its initrd; give it at least {least} MiB"
            ));
        }
    }
    let kept = |disk: &Disk| matches!(disk, Disk::Kept(_));
    if spec.write_cache && spec.disks.iter().any(kept) {
        return Err("a disk that is kept is not given a write cache".into());
    }
    spec.ssh_port.map_or(Ok(()), port::check_free)
}

/// Makes the files in the private folder, and keeps in the evidence what starts the machine anew.
pub(super) fn prepare(
    spec: &MachineSpec,
    begin: &Begin<'_>,
    nonce: &str,
    port: Option<&port::Kept>,
    folder: &PrivateFolder,
    logs: &LogDir,
) -> Result<Plan, MachineError> {
    let profile = &spec.profile.profile;
    check_room(spec, begin)?;
    let drives = match begin {
        Begin::Saved(saved) => saved.drives(folder, logs)?,
        Begin::Continued(saved, into) => {
            saved.copy_memory(into)?;
            saved.copied_drives(folder, logs)?
        }
        Begin::Kept(kept) => kept.drives(folder)?,
        Begin::PowerOn | Begin::Savable(_) => {
            let mut drives = disks::make(profile, &spec.disks, folder)?;
            drives.extend(volumes(spec, folder, logs)?);
            drives
        }
    };
    let mut plan = Plan {
        name: profile.name.clone(),
        board: profile.machine,
        nonce: nonce.into(),
        generation: uuid(&random_word()),
        accelerator: spec.profile.accelerator,
        cpus: profile.cpus,
        memory: spec.memory_mib(),
        firmware: spec.profile.firmware.clone(),
        uefi_vars: copy_vars(&spec.profile.firmware, folder)?,
        direct: (profile.boot == Boot::Kernel).then(|| direct(spec, nonce)),
        drives,
        network: profile.network,
        metadata: write_metadata(spec, folder, logs)?,
        ssh_port: port.map_or(0, port::Kept::port),
        memory_file: match begin {
            Begin::PowerOn => None,
            Begin::Savable(folder) | Begin::Continued(_, folder) => {
                Some(MemoryFile::Written(folder.join(saved::MEMORY)))
            }
            Begin::Saved(saved) => Some(MemoryFile::CopiedOnWrite(saved_memory(
                spec, saved, folder,
            )?)),
            Begin::Kept(kept) => kept.memory_is_named().then_some(MemoryFile::Unnamed),
        },
        incoming: match begin {
            Begin::PowerOn | Begin::Savable(_) => None,
            Begin::Saved(saved) | Begin::Continued(saved, _) => {
                Some(Incoming::Inherited(saved.file(saved::DEVICES)))
            }
            Begin::Kept(_) => Some(Incoming::Told),
        },
        balloon: spec.balloon,
        registry: spec.registry.as_ref().map(|_| registry::forwarding(folder)),
        gates: gates(spec),
        first_card: spec.first_card.clone(),
        cards: spec.cards.clone(),
    };
    keep_script(spec, &plan, folder, logs)?;
    if plan.never_boots()
        && let Some(direct) = &mut plan.direct
    {
        let head = folder.file("kernel-head");
        artifact::copy_head(&direct.kernel, &head).map_err(MachineError::Start)?;
        direct.kernel_head = Some(head);
    }
    if spec.write_cache && begin.folder().is_none() {
        cache_writes(&mut plan.drives, folder).map_err(MachineError::Start)?;
    }
    Ok(plan)
}

/// What its network lets through, unless that is everything.
fn gates(spec: &MachineSpec) -> Vec<(String, Gate)> {
    if spec.outside || spec.profile.profile.network != Network::User {
        return vec![];
    }
    let (host, fixture) = match spec.metadata.is_empty() {
        true => (HOST_ADDRESS, registry::ADDRESS),
        false => (metadata::HOST_ADDRESS, metadata::ADDRESS),
    };
    let cards = (1..).zip(&spec.cards).filter_map(|(number, card)| {
        let host = card.host()?;
        Some((format!("net{number}"), Gate::new(host, vec![])))
    });
    let first = ("net0".into(), Gate::new(host, vec![fixture]));
    std::iter::once(first).chain(cards).collect()
}

/// The memory of a machine that can be saved is a file, written while the guest runs: where the disk
/// is full by then, the kernel kills QEMU (SIGBUS).
fn check_room(spec: &MachineSpec, begin: &Begin<'_>) -> Result<(), MachineError> {
    let Some(folder) = begin.folder() else {
        return Ok(());
    };
    let what = "the memory of the machine";
    disk_space::check(folder, spec.memory_mib(), what).map_err(MachineError::Start)
}

/// The memory of a saved machine. A machine with a balloon gets a copy: what is taken from the guest
/// QEMU 7.2 cuts out of the file, although it is mapped copy-on-write, and others go on from it.
fn saved_memory(
    spec: &MachineSpec,
    saved: &Saved,
    folder: &PrivateFolder,
) -> Result<PathBuf, MachineError> {
    if !spec.balloon {
        return Ok(saved.file(saved::MEMORY));
    }
    saved.copy_memory(folder.path())?;
    Ok(folder.file(saved::MEMORY))
}

/// Has this process serve the disks that the guest can write.
fn cache_writes(drives: &mut [Drive], folder: &PrivateFolder) -> Result<(), String> {
    let written = drives.iter_mut().filter(|drive| !drive.read_only);
    for (socket, drive) in (launch::DISKS..).zip(written) {
        disks::flatten(drive, folder)?;
        drive.socket = Some(socket);
    }
    Ok(())
}

/// Thirty-two hexadecimal digits as QEMU wants them.
fn uuid(digits: &str) -> String {
    let ends = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    ends.map(|(begin, end)| &digits[begin..end]).join("-")
}

fn direct(spec: &MachineSpec, nonce: &str) -> Direct {
    let mut words = spec.kernel_arguments();
    words.push(identity::argument(nonce));
    Direct {
        kernel: absolute(&spec.kernel),
        kernel_head: None,
        initrd: spec.initrd.as_deref().map(absolute),
        append: words.join(" "),
    }
}

/// For the script, which is run from anywhere.
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
    let one = |(id, volume): (String, Volume)| {
        let name = format!("{id}.img");
        let file = folder.file(&name);
        let made = volume
            .write(&file)
            .and_then(|()| fs::copy(&file, logs.file(&name)).map_err(|e| e.to_string()));
        match made {
            Ok(_) => Ok(volume::drive(&id, file, spec.profile.profile.disk_bus)),
            Err(e) => Err(MachineError::Start(format!("{name} cannot be made: {e}"))),
        }
    };
    config.into_iter().chain(others).map(one).collect()
}

/// The pages of its metadata, in its own folder and, for `qemu.sh`, in the evidence.
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
        .map_err(|e| MachineError::Start(format!("metadata cannot be written: {e}")))?;
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

fn keep_script(
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

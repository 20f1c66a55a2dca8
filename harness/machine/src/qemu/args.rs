//! Builds the QEMU command line. Pure functions, tested by snapshots.

use serde_json::{Value, json};

use crate::disk::Drive;
use crate::guest::RANCHEROS;
use crate::profile::{Accelerator, Board, Bus, Network, ResolvedFirmware};
use crate::qemu::nonce::FW_CFG;
use crate::qemu::plan::{Direct, MemoryFile, Plan};
use crate::qemu::plugged;
use crate::services::metadata;

/// How the lines of the machine (serial, QMP, boot events) are connected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Connections {
    /// Connected sockets that QEMU inherits. No early output of the guest is lost, no socket path
    /// can be too long, and no other process can connect.
    Inherited {
        /// File descriptor of the serial line.
        serial: i32,
        /// File descriptor of QMP.
        qmp: i32,
        /// File descriptor of the boot events.
        events: i32,
        /// The first file descriptor of the gates. Each gate takes two: packets from QEMU, packets back.
        gates: i32,
    },
    /// Serial line and monitor in the terminal, boot events discarded. For `qemu.sh`.
    Terminal,
}

/// The arguments, without the program name.
pub(crate) fn arguments(plan: &Plan, connections: Connections) -> Vec<String> {
    let mut args = Args::default();
    args.add("-nodefaults", &[]).add("-no-user-config", &[]);
    args.add("-name", &[&plan.name]);
    board(&mut args, plan);
    firmware(&mut args, plan);
    if let Some(direct) = &plan.direct {
        kernel(&mut args, direct);
    }
    small_devices(&mut args, plan);
    if plan.balloon {
        args.device(&["virtio-balloon-pci"]);
    }
    network(&mut args, plan);
    if let Connections::Inherited { gates: first, .. } = connections {
        gates(&mut args, plan, first);
    }
    drives(&mut args, &plan.drives);
    slots(&mut args, plan);
    lines(&mut args, connections);
    if let Connections::Inherited { .. } = connections {
        run(&mut args, plan);
    }
    args.0
}

#[derive(Default)]
struct Args(Vec<String>);

impl Args {
    fn add(&mut self, option: &str, parts: &[&str]) -> &mut Self {
        self.0.push(option.into());
        if !parts.is_empty() {
            self.0.push(parts.join(","));
        }
        self
    }

    fn device(&mut self, parts: &[&str]) -> &mut Self {
        self.add("-device", parts)
    }
}

fn board(args: &mut Args, plan: &Plan) {
    let machine = match plan.board {
        // SATA disks get a controller of their own; the guest would only wait for the board's.
        Board::Q35 => "q35,sata=off",
        Board::Pc => "pc",
    };
    let accel = match plan.accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg { threads: true } => "tcg,thread=multi",
        Accelerator::Tcg { threads: false } => "tcg,thread=single",
    };
    match &plan.memory_file {
        None => args.add("-machine", &[machine]),
        Some(file) => {
            args.add("-object", &[&memory(file, plan.memory)]);
            args.add("-machine", &[machine, "memory-backend=ram"])
        }
    };
    if plan.incoming.is_some() {
        args.add("-incoming", &["defer"]);
    }
    args.add("-accel", &[accel]);
    args.add("-cpu", &[plan.accelerator.processor()]);
    args.add("-smp", &[&plan.cpus.get().to_string()]);
    args.add("-m", &[&format!("{}M", plan.memory)]);
}

/// The memory object as JSON, so that a file name may contain any character.
fn memory(file: &MemoryFile, mib: u64) -> String {
    let (path, share) = match file {
        MemoryFile::Written(path) => (path, true),
        MemoryFile::CopiedOnWrite(path) => (path, false),
        MemoryFile::Unnamed => {
            let (kind, size) = ("memory-backend-ram", mib << 20);
            return json!({ "qom-type": kind, "id": "ram", "size": size }).to_string();
        }
    };
    json!({
        "qom-type": "memory-backend-file",
        "id": "ram",
        "size": mib << 20,
        "mem-path": path,
        "share": share,
    })
    .to_string()
}

fn firmware(args: &mut Args, plan: &Plan) {
    let flash = |file: &std::path::Path, unit: u8, read_only: &str| {
        // `-drive` ends a value at a comma unless the comma is doubled.
        let file = file.to_string_lossy().replace(',', ",,");
        format!("if=pflash,unit={unit},format=raw,readonly={read_only},file={file}")
    };
    match &plan.firmware {
        ResolvedFirmware::Builtin => {}
        ResolvedFirmware::Bios(file) => drop(args.add("-bios", &[&file.to_string_lossy()])),
        ResolvedFirmware::Flash { code, vars } => {
            args.add("-drive", &[&flash(code, 0, "on")]);
            let (vars, read_only) = match &plan.uefi_vars {
                Some(copy) => (copy, "off"),
                None => (vars, "on"),
            };
            args.add("-drive", &[&flash(vars, 1, read_only)]);
        }
    }
}

/// Slots for devices that are plugged in later. i440FX accepts cards in any slot.
fn slots(args: &mut Args, plan: &Plan) {
    if plan.board == Board::Q35 {
        for number in 0..plan.slots {
            let (id, slot) = (plugged::slot(number), number + 1);
            let parts = [format!("id={id}"), format!("slot={slot}")];
            args.device(&["pcie-root-port", &parts[0], &parts[1]]);
        }
    }
}

fn kernel(args: &mut Args, direct: &Direct) {
    let kernel = direct.kernel_head.as_ref().unwrap_or(&direct.kernel);
    args.add("-kernel", &[&kernel.to_string_lossy()]);
    if let Some(initrd) = &direct.initrd {
        args.add("-initrd", &[&initrd.to_string_lossy()]);
    }
    args.add("-append", &[&direct.append]);
}

/// A screen for tty1 and screenshots, an entropy source, the VM generation ID (which tells a kernel
/// that it was copied), and the nonce (which tells us which copy it is).
fn small_devices(args: &mut Args, plan: &Plan) {
    let nonce = format!("string={}", plan.nonce);
    args.add("-fw_cfg", &[&format!("name={FW_CFG}"), &nonce]);
    args.add("-display", &["none"]).device(&["VGA"]);
    args.add("-rtc", &["base=utc"]);
    args.device(&["vmgenid", &format!("guid={}", plan.generation)]);
    args.add(
        "-object",
        &["rng-random", "id=rng0", "filename=/dev/urandom"],
    );
    args.device(&["virtio-rng-pci", "rng=rng0"]);
}

fn network(args: &mut Args, plan: &Plan) {
    if plan.network == Network::User {
        let forward = format!("hostfwd=tcp:127.0.0.1:{}-:22", plan.ssh_port);
        let served = plan.metadata.as_deref().map(metadata::network);
        let mut parts = vec!["user", "id=net0", &forward];
        parts.extend(served.as_deref());
        parts.extend(plan.registry.as_deref());
        let options = plan.first_card.options();
        parts.extend(options.iter().map(String::as_str));
        args.add("-netdev", &parts);
        // No boot ROM: it is in a separate package, and nothing boots from the network. No
        // announcement: a fork has a network of its own, so no other host listens.
        args.device(&[
            "virtio-net-pci",
            "netdev=net0",
            "romfile=",
            "guest_announce=off",
        ]);
    }
    for (number, card) in (1..).zip(&plan.cards) {
        let (id, netdev) = (format!("id=net{number}"), format!("netdev=net{number}"));
        let options = card.options();
        let mut parts = vec!["user", &id];
        parts.extend(options.iter().map(String::as_str));
        args.add("-netdev", &parts);
        args.device(&["virtio-net-pci", &netdev, "romfile=", "guest_announce=off"]);
    }
}

/// Routes the packets of the guest through this process. `rx` is the queue of packets that a network
/// receives.
fn gates(args: &mut Args, plan: &Plan, first: i32) {
    for ((network, _), fd) in plan.gates.iter().zip((first..).step_by(2)) {
        let (out, back) = (format!("{network}-out"), format!("{network}-back"));
        for (line, fd) in [(&out, fd), (&back, fd + 1)] {
            let parts = [format!("id={line}"), format!("fd={fd}")];
            args.add("-chardev", &["socket", &parts[0], &parts[1]]);
        }
        let filter = format!(
            "filter-redirector,id={network}-gate,netdev={network},queue=rx,outdev={out},indev={back}"
        );
        args.add("-object", &[&filter]);
    }
}

fn drives(args: &mut Args, drives: &[Drive]) {
    let uses = |bus| drives.iter().any(|drive| drive.bus == bus);
    if uses(Bus::Scsi) {
        args.device(&["virtio-scsi-pci", "id=scsi"]);
    }
    if uses(Bus::Sata) {
        args.device(&["ich9-ahci", "id=sata"]);
    }
    let mut sata_port = 0;
    for drive in drives {
        args.add("-blockdev", &[&block(drive)]);
        let id = format!("drive={}", drive.id);
        let serial = format!("serial={}", drive.id);
        match drive.bus {
            Bus::Virtio => args.device(&["virtio-blk-pci", &id, &serial]),
            Bus::Scsi => args.device(&["scsi-hd", "bus=scsi.0", &id, &serial]),
            Bus::Nvme => args.device(&["nvme", &id, &serial]),
            Bus::Sata => {
                let bus = format!("bus=sata.{sata_port}");
                sata_port += 1;
                args.device(&["ide-hd", &bus, &id, &serial])
            }
        };
    }
}

/// The block device as JSON, so that a file name may contain any character.
fn block(drive: &Drive) -> String {
    json!({
        "driver": drive.format.name(),
        "node-name": drive.id,
        "read-only": drive.read_only,
        "file": file(drive),
    })
    .to_string()
}

fn file(drive: &Drive) -> Value {
    match drive.socket {
        None => json!({
            "driver": "file", "filename": drive.file, "read-only": drive.read_only,
        }),
        Some(socket) => json!({
            "driver": "nbd", "server": { "type": "fd", "str": socket.to_string() },
        }),
    }
}

fn lines(args: &mut Args, connections: Connections) {
    match connections {
        Connections::Inherited {
            serial,
            qmp,
            events,
            ..
        } => {
            args.add(
                "-chardev",
                &["socket", "id=serial", &format!("fd={serial}")],
            );
            args.add("-serial", &["chardev:serial"]);
            args.add("-chardev", &["socket", "id=qmp", &format!("fd={qmp}")]);
            args.add("-mon", &["chardev=qmp", "mode=control"]);
            args.add(
                "-chardev",
                &["socket", "id=events", &format!("fd={events}")],
            );
        }
        Connections::Terminal => {
            args.add("-serial", &["mon:stdio"]);
            args.add("-chardev", &["null", "id=events"]);
        }
    }
    args.device(&["virtio-serial-pci", "id=ports"]);
    let name = format!("name={}", RANCHEROS.events_port);
    args.device(&["virtserialport", "bus=ports.0", "chardev=events", &name]);
}

/// Makes QEMU exit at a reset if the monitor starts the next one.
fn run(args: &mut Args, plan: &Plan) {
    if plan.ends_at_reset() {
        args.add("-action", &["reboot=shutdown"]);
    }
}

#[cfg(test)]
mod tests;

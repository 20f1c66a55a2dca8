//! Builds the QEMU command line. Pure functions, tested by snapshots.

use serde_json::{Value, json};

use crate::disk::Drive;
use crate::profile::{Accelerator, Board, Bus, Network, ResolvedFirmware};
use crate::qemu::nonce::FW_CFG;
use crate::qemu::plan::{Direct, EVENTS_PORT, MemoryFile, Plan};
use crate::qemu::plugged;
use crate::services::metadata;

/// How the lines of the machine (serial, QMP, boot events) are connected.
#[derive(Debug, Clone, Copy)]
pub enum Connections {
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
pub fn arguments(plan: &Plan, connections: Connections) -> Vec<String> {
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
        for number in 0..plugged::SLOTS {
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
    let name = format!("name={EVENTS_PORT}");
    args.device(&["virtserialport", "bus=ports.0", "chardev=events", &name]);
}

/// Makes QEMU exit at a reset if the monitor starts the next one.
fn run(args: &mut Args, plan: &Plan) {
    if plan.ends_at_reset() {
        args.add("-action", &["reboot=shutdown"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Format;
    use crate::disk::Origin;
    use crate::network::card::CardNetwork;
    use crate::network::gate::Gate;
    use crate::qemu::plan::Incoming;

    fn drive(id: &str, bus: Bus) -> Drive {
        Drive {
            id: id.into(),
            file: format!("/private/{id}, one.img").into(),
            format: Format::Raw,
            bus,
            read_only: id == "config",
            origin: Origin::Persistent,
            socket: None,
        }
    }

    fn plan() -> Plan {
        Plan {
            name: "q35".into(),
            board: Board::Q35,
            nonce: "abc".into(),
            generation: "01234567-89ab-cdef-0123-456789abcdef".into(),
            accelerator: Accelerator::Tcg { threads: true },
            cpus: 2.try_into().unwrap(),
            memory: 1024,
            firmware: ResolvedFirmware::Builtin,
            uefi_vars: None,
            direct: Some(Direct {
                kernel: "/dist/vmlinuz".into(),
                kernel_head: None,
                initrd: Some("/dist/initrd".into()),
                append: "console=ttyS0 harness.nonce=abc".into(),
            }),
            drives: vec![drive("disk0", Bus::Virtio), drive("config", Bus::Virtio)],
            network: Network::User,
            metadata: None,
            ssh_port: 40000,
            memory_file: None,
            incoming: None,
            balloon: false,
            registry: None,
            gates: vec![],
            first_card: CardNetwork::default(),
            cards: Vec::new(),
        }
    }

    const CONNECTIONS: Connections = Connections::Inherited {
        serial: 3,
        qmp: 4,
        events: 5,
        gates: 8,
    };

    fn rendered(plan: &Plan, connections: Connections) -> String {
        arguments(plan, connections)
            .join("\n")
            .replace("\n-", "\n\n-")
            .replace("\n\n", "\u{1}")
            .replace('\n', " ")
            .replace('\u{1}', "\n")
    }

    #[test]
    fn direct_boot_on_q35_renders() {
        insta::assert_snapshot!(rendered(&plan(), CONNECTIONS));
    }

    #[test]
    fn disk_boot_with_uefi_on_every_bus_renders() {
        let plan = Plan {
            name: "odd".into(),
            board: Board::Pc,
            accelerator: Accelerator::Kvm,
            direct: None,
            firmware: ResolvedFirmware::Flash {
                code: "/uefi/a,b".into(),
                vars: "/uefi/vars".into(),
            },
            uefi_vars: Some("/private/vars".into()),
            drives: [Bus::Sata, Bus::Scsi, Bus::Nvme, Bus::Sata]
                .into_iter()
                .enumerate()
                .map(|(n, bus)| drive(&format!("disk{n}"), bus))
                .collect(),
            network: Network::None,
            ..plan()
        };
        insta::assert_snapshot!(rendered(&plan, CONNECTIONS));
    }

    #[test]
    fn fork_maps_the_memory_copy_on_write() {
        let plan = Plan {
            memory_file: Some(MemoryFile::CopiedOnWrite("/saved, one/memory".into())),
            incoming: Some(Incoming::Deferred),
            ..plan()
        };
        let text = rendered(&plan, CONNECTIONS);
        let memory =
            r#""mem-path":"/saved, one/memory","qom-type":"memory-backend-file","share":false"#;
        assert!(text.contains(memory), "{text}");
        assert!(
            text.contains("-machine q35,sata=off,memory-backend=ram")
                && text.contains("-incoming defer")
        );
    }

    #[test]
    fn kernel_head_is_used_when_the_kernel_never_boots() {
        let mut plan = Plan {
            incoming: Some(Incoming::Deferred),
            ..plan()
        };
        assert!(plan.never_boots() && !self::plan().never_boots());
        if let Some(direct) = &mut plan.direct {
            direct.kernel_head = Some("/private/kernel-head".into());
        }
        assert!(rendered(&plan, CONNECTIONS).contains("-kernel /private/kernel-head\n"));
        let at_power_on = rendered(&plan.at_power_on(), CONNECTIONS);
        assert!(at_power_on.contains("-kernel /dist/vmlinuz\n"));
    }

    #[test]
    fn balloon_is_added_only_on_request() {
        let plan = Plan {
            balloon: true,
            ..plan()
        };
        assert!(rendered(&plan, CONNECTIONS).contains("-device virtio-balloon-pci"));
        assert!(!rendered(&self::plan(), CONNECTIONS).contains("balloon"));
    }

    #[test]
    fn disk_with_a_write_cache_is_served_over_nbd() {
        let mut plan = plan();
        plan.drives[0].socket = Some(6);
        let text = rendered(&plan, CONNECTIONS);
        let served =
            r#""file":{"driver":"nbd","server":{"str":"6","type":"fd"}},"node-name":"disk0""#;
        assert!(
            text.contains(served) && !text.contains("/private/disk0"),
            "{text}"
        );
    }

    #[test]
    fn metadata_is_served_at_the_address_that_clouds_use() {
        let plan = Plan {
            metadata: Some("/private/it, one/metadata".into()),
            ..plan()
        };
        let text = rendered(&plan, CONNECTIONS);
        let served = "hostfwd=tcp:127.0.0.1:40000-:22,net=169.254.0.0/16,host=169.254.2.2,\
            guestfwd=tcp:169.254.169.254:80-cmd:sh '/private/it,, one/metadata/serve.sh'";
        assert!(text.contains(served), "{text}");
    }

    #[test]
    fn packets_of_a_gated_network_pass_through_this_process() {
        let gate = Gate::new(std::net::Ipv4Addr::new(10, 0, 2, 2), vec![]);
        let plan = Plan {
            gates: vec![("net0".into(), gate)],
            ..plan()
        };
        let text = rendered(&plan, CONNECTIONS);
        for part in [
            "-chardev socket,id=net0-out,fd=8\n",
            "-chardev socket,id=net0-back,fd=9\n",
            "-object filter-redirector,id=net0-gate,netdev=net0,queue=rx,outdev=net0-out,indev=net0-back",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!rendered(&plan, Connections::Terminal).contains("gate"));
    }

    #[test]
    fn each_card_has_a_network_of_its_own() {
        let card = |subnet: &str| CardNetwork {
            subnet: Some(subnet.into()),
            ..CardNetwork::default()
        };
        let plan = Plan {
            first_card: CardNetwork {
                hostname: Some("given".into()),
                ..CardNetwork::default()
            },
            cards: vec![card("10.0.4.0/24"), card("10.0.5.0/24")],
            ..plan()
        };
        let text = rendered(&plan, CONNECTIONS);
        for part in [
            "-netdev user,id=net0,hostfwd=tcp:127.0.0.1:40000-:22,hostname=given",
            "-netdev user,id=net1,net=10.0.4.0/24",
            "-device virtio-net-pci,netdev=net1",
            "-netdev user,id=net2,net=10.0.5.0/24",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn terminal_needs_no_inherited_descriptors() {
        let text = rendered(&plan(), Connections::Terminal);
        assert!(
            text.contains("-serial mon:stdio") && !text.contains("fd="),
            "{text}"
        );
        assert!(
            !text.contains("-action"),
            "no monitor would start another QEMU"
        );
    }

    #[test]
    fn reset_is_left_to_qemu_under_kvm() {
        assert!(rendered(&plan(), CONNECTIONS).contains("-action reboot=shutdown"));
        let plan = Plan {
            accelerator: Accelerator::Kvm,
            ..plan()
        };
        assert!(!rendered(&plan, CONNECTIONS).contains("-action"));
    }
}

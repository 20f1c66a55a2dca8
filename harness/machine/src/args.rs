//! QEMU's command line, by a pure function.

use serde_json::{Value, json};

use super::plan::{Direct, Drive, EVENTS_PORT, MemoryFile, Plan};
use super::ssh::identity::FW_CFG;
use super::{hotplug, metadata};
use crate::profile::{Accelerator, Board, Bus, Network, ResolvedFirmware};

/// Where the lines of the machine end on this side.
#[derive(Debug, Clone, Copy)]
pub enum Wires {
    /// Connected sockets that QEMU inherits: nothing of what the guest says first can be missed,
    /// no path can be too long, and nobody else can connect.
    Inherited {
        /// Serial line.
        serial: i32,
        /// QMP.
        qmp: i32,
        /// Boot events.
        events: i32,
        /// The first of two for each gate: packets from QEMU, and back.
        gates: i32,
    },
    /// Serial line and monitor in the terminal, boot events nowhere: for a person's shell.
    Terminal,
}

/// The arguments, without the program.
pub fn arguments(plan: &Plan, wires: Wires) -> Vec<String> {
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
    if let Wires::Inherited { gates: first, .. } = wires {
        gates(&mut args, plan, first);
    }
    drives(&mut args, &plan.drives);
    slots(&mut args, plan);
    lines(&mut args, wires);
    if let Wires::Inherited { .. } = wires {
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
        // Disks on SATA have a controller of their own; the board's would only be waited for.
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

/// As JSON, in which a file name may hold anything.
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
        // `-drive` ends a value at a comma unless it is doubled.
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

/// For what is plugged in later; i440FX takes cards anywhere.
fn slots(args: &mut Args, plan: &Plan) {
    if plan.board == Board::Q35 {
        for number in 0..hotplug::SLOTS {
            let (id, slot) = (hotplug::slot(number), number + 1);
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

/// A screen for tty1 and screenshots, entropy, the id that tells a kernel it was copied, and the
/// word that tells us which copy it is.
fn small_devices(args: &mut Args, plan: &Plan) {
    let word = format!("string={}", plan.nonce);
    args.add("-fw_cfg", &[&format!("name={FW_CFG}"), &word]);
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
        // Without a boot ROM: it is in a package of its own, and nothing boots from the network. A
        // fork has nobody to announce itself to: its network is its own.
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

/// Packets of the guest go through this process. `rx` is what a network receives.
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

/// As JSON, in which a file name may hold anything.
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

fn lines(args: &mut Args, wires: Wires) {
    match wires {
        Wires::Inherited {
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
        Wires::Terminal => {
            args.add("-serial", &["mon:stdio"]);
            args.add("-chardev", &["null", "id=events"]);
        }
    }
    args.device(&["virtio-serial-pci", "id=ports"]);
    let name = format!("name={EVENTS_PORT}");
    args.device(&["virtserialport", "bus=ports.0", "chardev=events", &name]);
}

/// What comes after a reset, where somebody sees to it.
fn run(args: &mut Args, plan: &Plan) {
    if plan.ends_at_reset() {
        args.add("-action", &["reboot=shutdown"]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::CardNetwork;
    use super::super::gate::Gate;
    use super::super::plan::Incoming;
    use super::*;
    use crate::plan::{Format, Origin};

    fn drive(id: &str, bus: Bus) -> Drive {
        Drive {
            id: id.into(),
            file: format!("/private/{id}, one.img").into(),
            format: Format::Raw,
            bus,
            read_only: id == "config",
            origin: Origin::Kept,
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

    const WIRES: Wires = Wires::Inherited {
        serial: 3,
        qmp: 4,
        events: 5,
        gates: 8,
    };

    fn shown(plan: &Plan, wires: Wires) -> String {
        arguments(plan, wires)
            .join("\n")
            .replace("\n-", "\n\n-")
            .replace("\n\n", "\u{1}")
            .replace('\n', " ")
            .replace('\u{1}', "\n")
    }

    #[test]
    fn a_direct_boot_on_q35() {
        insta::assert_snapshot!(shown(&plan(), WIRES));
    }

    #[test]
    fn a_disk_boot_with_uefi_on_every_bus() {
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
        insta::assert_snapshot!(shown(&plan, WIRES));
    }

    #[test]
    fn a_saved_machine_goes_on_in_memory_of_its_own() {
        let plan = Plan {
            memory_file: Some(MemoryFile::CopiedOnWrite("/saved, one/memory".into())),
            incoming: Some(Incoming::Told),
            ..plan()
        };
        let text = shown(&plan, WIRES);
        let memory =
            r#""mem-path":"/saved, one/memory","qom-type":"memory-backend-file","share":false"#;
        assert!(text.contains(memory), "{text}");
        assert!(
            text.contains("-machine q35,sata=off,memory-backend=ram")
                && text.contains("-incoming defer")
        );
    }

    #[test]
    fn a_kernel_that_is_not_booted_is_not_read_whole() {
        let mut plan = Plan {
            incoming: Some(Incoming::Told),
            ..plan()
        };
        assert!(plan.never_boots() && !self::plan().never_boots());
        if let Some(direct) = &mut plan.direct {
            direct.kernel_head = Some("/private/kernel-head".into());
        }
        assert!(shown(&plan, WIRES).contains("-kernel /private/kernel-head\n"));
        let powered_on = shown(&plan.powered_on(), WIRES);
        assert!(powered_on.contains("-kernel /dist/vmlinuz\n"));
    }

    #[test]
    fn memory_can_be_taken_only_where_that_is_asked_for() {
        let plan = Plan {
            balloon: true,
            ..plan()
        };
        assert!(shown(&plan, WIRES).contains("-device virtio-balloon-pci"));
        assert!(!shown(&self::plan(), WIRES).contains("balloon"));
    }

    #[test]
    fn a_disk_with_a_write_cache_is_reached_through_us() {
        let mut plan = plan();
        plan.drives[0].socket = Some(6);
        let text = shown(&plan, WIRES);
        let served =
            r#""file":{"driver":"nbd","server":{"str":"6","type":"fd"}},"node-name":"disk0""#;
        assert!(
            text.contains(served) && !text.contains("/private/disk0"),
            "{text}"
        );
    }

    #[test]
    fn metadata_has_the_address_that_clouds_give_it() {
        let plan = Plan {
            metadata: Some("/private/it, one/metadata".into()),
            ..plan()
        };
        let text = shown(&plan, WIRES);
        let served = "hostfwd=tcp:127.0.0.1:40000-:22,net=169.254.0.0/16,host=169.254.2.2,\
            guestfwd=tcp:169.254.169.254:80-cmd:sh '/private/it,, one/metadata/serve.sh'";
        assert!(text.contains(served), "{text}");
    }

    #[test]
    fn packets_of_a_gated_network_go_through_us() {
        let gate = Gate::new(std::net::Ipv4Addr::new(10, 0, 2, 2), vec![]);
        let plan = Plan {
            gates: vec![("net0".into(), gate)],
            ..plan()
        };
        let text = shown(&plan, WIRES);
        for part in [
            "-chardev socket,id=net0-out,fd=8\n",
            "-chardev socket,id=net0-back,fd=9\n",
            "-object filter-redirector,id=net0-gate,netdev=net0,queue=rx,outdev=net0-out,indev=net0-back",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!shown(&plan, Wires::Terminal).contains("gate"));
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
        let text = shown(&plan, WIRES);
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
    fn a_terminal_needs_no_inherited_lines() {
        let text = shown(&plan(), Wires::Terminal);
        assert!(
            text.contains("-serial mon:stdio") && !text.contains("fd="),
            "{text}"
        );
        assert!(!text.contains("-action"), "nobody would start another QEMU");
    }

    #[test]
    fn a_reset_is_left_to_qemu_where_it_costs_nothing() {
        assert!(shown(&plan(), WIRES).contains("-action reboot=shutdown"));
        let plan = Plan {
            accelerator: Accelerator::Kvm,
            ..plan()
        };
        assert!(!shown(&plan, WIRES).contains("-action"));
    }
}

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
        slots: 4,
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
    let served = r#""file":{"driver":"nbd","server":{"str":"6","type":"fd"}},"node-name":"disk0""#;
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

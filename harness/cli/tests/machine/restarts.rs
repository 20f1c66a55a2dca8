//! All orders of changes to a machine's state, with a fake QEMU that only answers QMP: it
//! needs no boot, and records the commands that each process received.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base::wait::{Poll, wait_until};
use machine::profile::{Accelerator, Boot, Profile, ResolvedFirmware, ResolvedProfile, load};
use machine::{Blank, Machine, MachineSpec};
use runner::evidence::Evidence;
use serde_json::{Value, json};

use crate::{LONG, bench};

/// The fake QEMU. It speaks QMP on descriptor 4, runs immediately unless it has `-S`, and exits on a reset,
/// like the QEMU of an emulated machine.
const FAKE: &str = r#"#!/bin/bash
runs=true
for word in "$@"; do [ "$word" = -S ] && runs=false; done
devices='' list='' link=true
printf '{"QMP":{}}\n' >&4
while read -r line <&4; do
    [[ $line =~ \"id\":([0-9]+) ]] && id=${BASH_REMATCH[1]}
    answer='{}'
    case $line in
        *'"execute":"cont"'*) runs=true ;;
        *'"execute":"stop"'*) runs=false ;;
        *'"execute":"device_add"'*)
            list+="{\"name\":\"plugged_disk${#devices}\"},"
            devices+=x ;;
        *'"execute":"set_link"'*)
            link=true
            [[ $line == *'"up":false'* ]] && link=false ;;
        *'"execute":"qom-list"'*) answer="[${list%,}]" ;;
        *'"execute":"query-status"'*)
            answer="{\"runs\":$runs,\"devices\":\"$devices\",\"link\":$link}" ;;
        *'"execute":"system_reset"'*)
            printf '{"return":{},"id":%s}\n' "$id" >&4
            printf '{"event":"RESET"}\n{"event":"SHUTDOWN","data":{"reason":"host-qmp-system-reset"}}\n' >&4
            exit 0 ;;
    esac
    printf '{"return":%s,"id":%s}\n' "$answer" "$id" >&4
done
"#;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Reset,
    PowerCut,
    PlugDisk,
    PullCable,
    PauseAndGoOn,
}

use Change as C;

const ALL: [Change; 5] = [
    C::Reset,
    C::PowerCut,
    C::PlugDisk,
    C::PullCable,
    C::PauseAndGoOn,
];

fn spec(folder: &Path) -> MachineSpec {
    let qemu = folder.join("qemu");
    std::fs::write(&qemu, FAKE).unwrap();
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../qemu-profiles/q35.yaml");
    let profile = ResolvedProfile {
        profile: Profile {
            boot: Boot::Disk,
            ..load(&file).unwrap()
        },
        qemu,
        qemu_version: "none".into(),
        accelerator: Accelerator::Tcg { threads: true },
        firmware: ResolvedFirmware::Builtin,
    };
    MachineSpec {
        write_cache: true,
        ..MachineSpec::new(profile, Path::new("/none"), None)
    }
}

async fn apply(change: Change, machine: Machine) -> Machine {
    match change {
        C::Reset => {
            let pid = machine.pid();
            machine.reset().await.unwrap();
            let look = async || {
                if machine.pid() == pid {
                    Poll::NotYet("the same QEMU".into())
                } else {
                    Poll::Ready(())
                }
            };
            wait_until("another QEMU", LONG, look).await.unwrap();
        }
        C::PowerCut => return machine.power_cut(7).await.unwrap().0,
        C::PlugDisk => {
            let blank = Blank {
                mib: 16,
                ..Blank::default()
            };
            machine.plug_disk(&blank).await.unwrap();
        }
        C::PullCable => machine.set_link("net0", false).await.unwrap(),
        C::PauseAndGoOn => {
            machine.pause().await.unwrap();
            machine.resume().await.unwrap();
        }
    }
    machine
}

/// The state of QEMU after these changes, and the expected state.
async fn after(changes: &[Change], evidence: &Evidence) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = Machine::start(spec(folder.path()), evidence.logs())
        .await
        .unwrap();
    for change in changes {
        machine = apply(*change, machine).await;
    }
    let state = machine.qmp("query-status", Value::Null).await.unwrap();
    let disks = changes.iter().filter(|one| **one == C::PlugDisk).count();
    let wanted = json!({
        "runs": true,
        "devices": "x".repeat(disks),
        "link": !changes.contains(&C::PullCable),
    });
    (state, wanted)
}

#[tokio::test]
async fn every_pair_of_changes_keeps_the_state_of_the_machine() {
    let bench = bench();
    for first in ALL {
        for second in ALL {
            let (state, wanted) = after(&[first, second], &bench.evidence).await;
            assert_eq!(state, wanted, "{first:?}, then {second:?}");
        }
    }
}

#[tokio::test]
async fn long_chain_of_restarts_keeps_the_state_of_the_machine() {
    let bench = bench();
    let chain = [
        C::Reset,
        C::PlugDisk,
        C::PowerCut,
        C::Reset,
        C::PullCable,
        C::PowerCut,
        C::PowerCut,
        C::Reset,
    ];
    let (state, wanted) = after(&chain, &bench.evidence).await;
    assert_eq!(state, wanted);
}

//! Both Docker engines of the real OS.

use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _};
use harness::{artifacts, project};
use machine::{Engine, KeyPair, Login, Machine, MachineSpec};

use crate::{Bench, LONG, bench, profile, within};

/// A machine with the OS of this tree, or the one that the environment names, and its login.
pub(crate) fn os() -> (MachineSpec, Login) {
    let artifacts = artifacts::of_environment(&project::find()).unwrap();
    let profile = profile().resolve(&artifacts.kernel).unwrap();
    let keys = KeyPair::generate();
    let spec = MachineSpec {
        user_data: Some(format!(
            "#cloud-config\nssh_authorized_keys:\n- {}\n",
            keys.public
        )),
        ..MachineSpec::new(profile, &artifacts.kernel, Some(&artifacts.initrd))
    };
    (spec, with_key(keys))
}

fn with_key(keys: KeyPair) -> Login {
    Login::Key {
        user: "rancher".into(),
        private_key: keys.private,
    }
}

/// Starts a machine that can be saved in `folder`, and waits until it is ready.
pub(crate) async fn savable(spec: &MachineSpec, folder: &Path, bench: &Bench) -> Machine {
    let machine = Machine::start_savable(spec.clone(), folder, bench.evidence.logs());
    let machine = machine.await.unwrap();
    machine.wait_ready(LONG).await.unwrap();
    machine
}

/// Imports an image with one file.
async fn import(docker: &bollard::Docker) {
    let content: Vec<u8> = (0..1_u32 << 20).map(|n| n.to_le_bytes()[0]).collect();
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    layer
        .append_data(&mut header, "file", content.as_slice())
        .unwrap();
    let options = bollard::query_parameters::CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo("file")
        .build();
    let body = bollard::body_full(layer.into_inner().unwrap().into());
    let answer = docker.create_image(Some(options), Some(body), None);
    answer.try_collect::<Vec<_>>().await.unwrap();
}

#[tokio::test]
async fn both_engines_answer_over_one_login() {
    let (spec, login) = os();
    let bench = bench();
    let machine = Machine::start(spec, bench.evidence.logs()).await.unwrap();
    machine.wait_ready(LONG).await.unwrap();
    let ssh = machine.ssh(&login, LONG).await.unwrap();
    let stranger = with_key(KeyPair::generate());
    let refused = machine.ssh(&stranger, LONG).await.err().unwrap();
    assert_eq!(refused.to_string(), "login as rancher was refused");

    for engine in [Engine::System, Engine::User] {
        let docker = machine.docker(&ssh, engine).await.unwrap();
        assert_eq!(docker.ping().await.unwrap(), "OK");
        // Overlapping answers on one SSH session: none is delayed until the next one arrives.
        for _ in 0..20 {
            let asked = async { tokio::join!(docker.ping(), docker.info(), docker.version()) };
            let (ping, info, version) = within(asked).await;
            assert!(ping.is_ok() && info.is_ok() && version.is_ok());
        }
        // A request many times larger than the receive window of the guest.
        for _ in 0..5 {
            within(import(&docker)).await;
        }
        // An endless response, read while others start and finish on the same connection. It begins
        // with earlier events, so the order of the requests does not matter.
        let mut events = docker.events(Some(bollard::query_parameters::EventsOptions {
            since: Some("0".into()),
            filters: Some([("type".into(), vec!["volume".into()])].into()),
            ..Default::default()
        }));
        for name in ["before", "after"] {
            let made = bollard::models::VolumeCreateRequest {
                name: Some(name.into()),
                ..Default::default()
            };
            docker.create_volume(made).await.unwrap();
            let event = within(events.next()).await.unwrap().unwrap();
            assert_eq!(event.actor.unwrap().id.unwrap(), name);
        }
    }
}

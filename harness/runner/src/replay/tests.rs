use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::PastTrial;
use super::artifacts::changed_images;
use crate::evidence::{KEY, MACHINE, RECORD, TREE};
use crate::project::Project;

fn here() -> Project {
    Project::at(Path::new("/project"))
}
fn evidence(folder: &Path, result: &Value) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("trial.json"), r#"{"version":2}"#).unwrap();
    std::fs::write(folder.join("result.json"), result.to_string()).unwrap();
}

#[test]
fn snapshot_folder_finds_the_machine_of_a_failed_checkpoint() {
    let parent = tempfile::tempdir().unwrap();
    let [outer, inner] = ["q35-tea", "q35-setup-kettle"].map(|name| parent.path().join(name));
    let machine = json!({ "kept": "yes", "bytes": 1, "folder": inner });
    let result = json!({ "verdict": "failed", "machine": machine });
    evidence(&outer, &result);
    evidence(&inner, &result);
    std::fs::create_dir(inner.join(MACHINE)).unwrap();
    std::fs::write(inner.join(MACHINE).join(KEY), "key").unwrap();
    for folder in [&outer, &inner] {
        let past = PastTrial::open(folder).unwrap();
        assert_eq!(
            (past.snapshot_folder(), past.key(None).is_some()),
            (inner.clone(), true)
        );
        let why = past.machine(None).unwrap_err().to_string();
        assert!(why.contains("machine.json"), "{why}");
    }

    // Both folders were moved.
    let elsewhere = parent.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for folder in [&outer, &inner] {
        let name = folder.file_name().unwrap();
        std::fs::rename(folder, elsewhere.join(name)).unwrap();
    }
    let past = PastTrial::open(&elsewhere.join("q35-tea")).unwrap();
    assert!(past.key(None).is_some());

    std::fs::remove_dir_all(elsewhere.join("q35-setup-kettle").join(MACHINE)).unwrap();
    let why = past.machine(None).unwrap_err().to_string();
    assert!(why.contains("it was removed, because"), "{why}");
}

/// Writes the evidence of a trial of this scenario.
fn recorded(parent: &Path, name: &str, scenario: &str) -> PastTrial {
    let folder = parent.join(name);
    evidence(&folder, &json!({ "verdict": "failed" }));
    let tree = Project::at(&folder.join(TREE));
    let write = |folder: PathBuf, file: &str, text: String| {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
    };
    let file = json!({ "path": "/nowhere", "content": "" });
    let record = json!({
        "trial": format!("q35::{name}"), "profile": "q35", "scenario": name, "profiles": ["q35"],
        "kernel": file, "initrd": file, "cold": false, "seed": null,
    });
    let profile = "{name: q35, about: x, machine: q35, memory: 64, cpus: 1}".to_owned();
    write(tree.profiles_folder(), "q35.yaml", profile);
    let text = format!("name: {name}\nabout: tea can be made\n{scenario}");
    write(tree.scenarios_folder(), &format!("{name}.yaml"), text);
    write(folder.join(TREE), RECORD, record.to_string());
    PastTrial::open(&folder).unwrap()
}

#[test]
fn trial_rejects_evidence_that_leads_out_of_its_folder() {
    let parent = tempfile::tempdir().unwrap();
    let steps = "steps:\n  - ssh: { run: make tea }\n";
    let past = recorded(parent.path(), "tea", steps);
    past.trial(&here()).unwrap();
    let snapshots = past.folder().join(TREE).join("scenarios/snapshots");
    std::os::unix::fs::symlink("/tmp", &snapshots).unwrap();
    let why = past.trial(&here()).unwrap_err().to_string();
    assert!(why.contains("snapshots is a symbolic link"), "{why}");
    std::fs::remove_file(&snapshots).unwrap();

    let file = past.folder().join(TREE).join(RECORD);
    let record = std::fs::read_to_string(&file).unwrap();
    let other = record.replace("\"scenario\":\"tea\"", "\"scenario\":\"../../tea\"");
    assert_ne!(other, record);
    std::fs::write(&file, other).unwrap();
    let why = past.trial(&here()).unwrap_err().to_string();
    assert!(why.contains("`../../tea` is not a valid name"), "{why}");
}

#[test]
fn changed_images_lists_missing_and_different_images() {
    let images = |all: &[(&str, &str)]| {
        let all = all
            .iter()
            .map(|(name, hash)| (name.to_string(), hash.to_string()));
        all.collect::<BTreeMap<_, _>>()
    };
    let was = images(&[("tea:1", "green"), ("cup:1", "blue")]);
    assert!(changed_images(&was, &was).is_empty());
    let here = images(&[("tea:1", "black"), ("cup:2", "blue")]);
    assert_eq!(
        changed_images(&was, &here),
        [
            "cup:1 is not built here",
            "tea:1 has different content: black instead of green"
        ]
    );
    // Evidence from before images were recorded.
    assert!(changed_images(&BTreeMap::new(), &here).is_empty());
}

#[test]
fn served_lists_the_services_of_the_trial() {
    let parent = tempfile::tempdir().unwrap();
    let steps = "steps:\n  - ssh: { run: make tea }\n";
    let asks = "  - time_server: { tell: /tmp/server }\n";
    let registry = "machine: { registry: { images: [base] } }\n";
    let served = |name: &str, scenario: &str| {
        let past = recorded(parent.path(), name, scenario);
        past.trial(&here()).unwrap();
        past.served(&here())
    };
    assert!(served("nothing", steps).is_empty());
    assert_eq!(served("time", &format!("{steps}{asks}")), ["time server"]);
    assert_eq!(
        served("both", &format!("{registry}{steps}{asks}")),
        ["registry", "time server"]
    );
}

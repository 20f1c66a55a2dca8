//! What the shim of the user's containers calls as its runtime: finds the sources of bind mounts in the
//! tree (see [`crate::tree`]), and becomes the runtime.
//!
//! The runtime runs in the machine's own mount namespace, because containers must outlive the engine and
//! the console. There the tree is at [`TREE`], and a source that the engine knows as `/srv/www` is
//! `/tree/srv/www`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

use crate::tree::{TREE, place};

/// The runtime itself.
const PROGRAM: &str = "/usr/bin/crun";

/// Commands of a runtime that read the bundle's configuration.
const CREATES: [&str; 3] = ["create", "restore", "run"];

/// Comes back only when there is no runtime, or a mount cannot be.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(bundle) = created(&arguments)
        && let Err(why) = rewrite(Path::new(bundle), Path::new(TREE))
    {
        // Containerd shows the last line that the runtime said.
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(PROGRAM).args(arguments).exec();
    eprintln!("{PROGRAM}: {error}");
    ExitCode::FAILURE
}

/// The bundle of a container that is to be created.
fn created(arguments: &[OsString]) -> Option<&OsStr> {
    let creates = |word: &OsString| CREATES.iter().any(|creates| word == creates);
    if !arguments.iter().any(creates) {
        return None;
    }
    let at = arguments.iter().position(|word| word == "--bundle")?;
    arguments.get(at + 1).map(OsString::as_os_str)
}

/// Has the bundle's `config.json` (OCI runtime specification) name the places of the tree.
fn rewrite(bundle: &Path, tree: &Path) -> Result<(), String> {
    let file = bundle.join("config.json");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read(&file).map_err(|error| told(&error))?;
    let mut spec: Value = serde_json::from_slice(&text).map_err(|error| told(&error))?;
    let mut changed = false;
    let root = spec.pointer_mut("/root/path");
    if let Some(path) = root {
        changed |= replace(path, tree)?;
    }
    let mounts = spec.get_mut("mounts").and_then(Value::as_array_mut);
    let binds = mounts.into_iter().flatten().filter(|mount| is_bind(mount));
    for source in binds.filter_map(|mount| mount.get_mut("source")) {
        changed |= replace(source, tree)?;
    }
    if changed {
        let text = serde_json::to_vec(&spec).map_err(|error| told(&error))?;
        std::fs::write(&file, &text).map_err(|error| told(&error))?;
    }
    Ok(())
}

fn is_bind(mount: &Value) -> bool {
    let is = |word: &Value| word == "bind" || word == "rbind";
    let options = mount["options"].as_array();
    is(&mount["type"]) || options.is_some_and(|options| options.iter().any(is))
}

/// Puts the place in the tree into a path; whether it is another one.
fn replace(value: &mut Value, tree: &Path) -> Result<bool, String> {
    let Some(path) = value.as_str().filter(|path| path.starts_with('/')) else {
        return Ok(false);
    };
    let place = place(path, tree).map_err(|error| format!("{path} cannot be mounted: {error}"))?;
    let changed = place != Path::new(path);
    if changed {
        *value = Value::String(place.to_string_lossy().into_owned());
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in ["srv/www", "mnt/disk"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        std::fs::write(folder.path().join("srv/app.conf"), "").unwrap();
        std::os::unix::fs::symlink("/mnt/disk", folder.path().join("data")).unwrap();
        folder
    }

    #[test]
    fn only_binds_and_the_root_of_a_bundle_are_rewritten() {
        let (tree, bundle) = (tree(), tempfile::tempdir().unwrap());
        let file = bundle.path().join("config.json");
        let spec = serde_json::json!({
            "root": { "path": "/srv/www" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/a", "type": "bind", "source": "/srv/app.conf", "options": ["rbind"] },
                { "destination": "/b", "source": "/data", "options": ["rbind", "ro"] },
                { "destination": "/c", "type": "tmpfs", "source": "/srv" }
            ]
        });
        std::fs::write(&file, spec.to_string()).unwrap();
        rewrite(bundle.path(), tree.path()).unwrap();
        let new: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let in_tree = |path: &str| Value::from(tree.path().join(path).to_str().unwrap());
        assert_eq!(new["root"]["path"], in_tree("srv/www"));
        let sources: Vec<_> = (0..4)
            .map(|at| new["mounts"][at]["source"].clone())
            .collect();
        assert_eq!(
            sources,
            [
                "proc".into(),
                in_tree("srv/app.conf"),
                in_tree("mnt/disk"),
                "/srv".into()
            ]
        );
    }

    #[test]
    fn only_commands_that_create_read_the_bundle() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let create = words("--root /run/runc create --bundle /b --pid-file /p id");
        assert_eq!(created(&create), Some(OsStr::new("/b")));
        assert_eq!(created(&words("--root /run/runc state id")), None);
    }
}

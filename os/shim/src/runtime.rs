//! The runtime that the shim of the user's containers calls: it translates the sources of bind mounts to
//! paths in the tree (crate `tree`), and then executes crun.
//!
//! It runs in the machine's own mount namespace, because containers must outlive the engine and the
//! console. There the tree is at [`TREE`], and the source that the engine calls `/srv/www` is
//! `/tree/srv/www`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;
use tree::{TREE, resolve};

/// The runtime that this program executes.
const CRUN: &str = "/usr/bin/crun";

/// The commands of a runtime that read the bundle's configuration.
const CREATE_COMMANDS: [&str; 3] = ["create", "restore", "run"];

/// Executes the runtime; returns only if that fails, or if a source cannot be translated.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(bundle) = created_bundle(&arguments)
        && let Err(why) = rewrite(Path::new(bundle), Path::new(TREE))
    {
        // Containerd shows the last line that the runtime prints.
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(CRUN).args(arguments).exec();
    eprintln!("{CRUN}: {error}");
    ExitCode::FAILURE
}

/// The bundle of the container that the command creates, if it does.
fn created_bundle(arguments: &[OsString]) -> Option<&OsStr> {
    let is_create = |word: &OsString| CREATE_COMMANDS.iter().any(|command| word == command);
    if !arguments.iter().any(is_create) {
        return None;
    }
    let at = arguments.iter().position(|word| word == "--bundle")?;
    arguments.get(at + 1).map(OsString::as_os_str)
}

/// Translates the paths in the bundle's `config.json` (OCI runtime specification).
fn rewrite(bundle: &Path, tree: &Path) -> Result<(), String> {
    let file = bundle.join("config.json");
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read(&file).map_err(|error| at(&error))?;
    let mut spec: Value = serde_json::from_slice(&text).map_err(|error| at(&error))?;
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
        let text = serde_json::to_vec(&spec).map_err(|error| at(&error))?;
        std::fs::write(&file, &text).map_err(|error| at(&error))?;
    }
    Ok(())
}

fn is_bind(mount: &Value) -> bool {
    let is = |word: &Value| word == "bind" || word == "rbind";
    let options = mount["options"].as_array();
    is(&mount["type"]) || options.is_some_and(|options| options.iter().any(is))
}

/// Translates a path to one in the tree; returns whether it changed.
fn replace(value: &mut Value, tree: &Path) -> Result<bool, String> {
    let Some(path) = value.as_str().filter(|path| path.starts_with('/')) else {
        return Ok(false);
    };
    let resolved =
        resolve(path, tree).map_err(|error| format!("{path} cannot be mounted: {error}"))?;
    let changed = resolved != Path::new(path);
    if changed {
        *value = Value::String(resolved.to_string_lossy().into_owned());
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
    fn rewrite_changes_bind_mounts_and_the_root_only() {
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
    fn created_bundle_is_none_when_the_command_creates_nothing() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let create = words("--root /run/runc create --bundle /b --pid-file /p id");
        assert_eq!(created_bundle(&create), Some(OsStr::new("/b")));
        assert_eq!(created_bundle(&words("--root /run/runc state id")), None);
    }
}

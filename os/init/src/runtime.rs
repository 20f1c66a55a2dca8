//! What the shim of the user's containers calls as its runtime: finds the sources of bind mounts in the
//! tree (see [`crate::tree`]), and becomes the runtime.
//!
//! The runtime runs in the machine's own mount namespace, because containers must outlive the engine and
//! the console. There the tree is at [`TREE`], and a source that the engine knows as `/srv/www` is
//! `/tree/srv/www`.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use serde_json::Value;

use crate::tree::TREE;

/// The runtime itself.
const PROGRAM: &str = "/usr/bin/crun";

/// Folders that are the same in the tree and in the machine. What the engine keeps must be named as it
/// names it: it removes it later.
const SAME: [&str; 5] = ["dev", "proc", "run", "sys", "var/lib/docker"];

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
fn rewrite(bundle: &Path, tree: &Path) -> std::result::Result<(), String> {
    let file = bundle.join("config.json");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read(&file).map_err(|error| told(&error))?;
    let mut spec: Value = serde_json::from_slice(&text).map_err(|error| told(&error))?;
    let mut changed = false;
    let root = spec.pointer_mut("/root/path");
    for path in root {
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
fn replace(value: &mut Value, tree: &Path) -> std::result::Result<bool, String> {
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

/// Where a path of the tree is in the machine. A folder that only the engine has is one that it made for
/// this mount, and is made in the tree; a program of the machine that the tree lacks is the machine's.
fn place(path: &str, tree: &Path) -> Result<PathBuf> {
    let inside = path.trim_start_matches('/');
    if SAME.iter().any(|same| Path::new(inside).starts_with(same)) {
        return Ok(path.into());
    }
    let found = match resolve(tree, inside) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if Path::new(path).exists() {
                return Ok(path.into());
            }
            make_folder(tree, inside)?
        }
        found => found?,
    };
    let inside = found.strip_prefix(tree).unwrap_or(&found);
    if SAME.iter().any(|same| inside.starts_with(same)) {
        return Ok(Path::new("/").join(inside));
    }
    Ok(found)
}

/// Follows a path with the tree as the root, so that an absolute symbolic link stays in it.
fn resolve(tree: &Path, inside: &str) -> Result<PathBuf> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let root = open(tree, flags | OFlag::O_DIRECTORY, Mode::empty())?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let inside = if inside.is_empty() { "." } else { inside };
    let found = openat2(&root, inside, how)?;
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

/// Makes a folder and those above it.
fn make_folder(tree: &Path, inside: &str) -> Result<PathBuf> {
    let path = Path::new(inside);
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let above = path.parent().unwrap_or(Path::new(""));
    let above = above.to_str().ok_or(ErrorKind::InvalidInput)?;
    let folder = match resolve(tree, above) {
        Err(error) if error.kind() == ErrorKind::NotFound => make_folder(tree, above)?,
        found => found?,
    };
    let made = folder.join(name);
    match std::fs::create_dir(&made) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::new(error.kind(), format!("{}: {error}", made.display())))
        }
        _ => Ok(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in ["srv/www", "var", "run", "usr", "mnt/disk"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        std::fs::write(folder.path().join("srv/app.conf"), "").unwrap();
        for (target, path) in [("/mnt/disk", "data"), ("../run", "var/run"), ("/srv", "var/www")] {
            std::os::unix::fs::symlink(target, folder.path().join(path)).unwrap();
        }
        folder
    }

    #[test]
    fn sources_are_found_in_the_tree_and_links_stay_in_it() {
        let tree = tree();
        let place = |path: &str| {
            let found = place(path, tree.path()).unwrap();
            match found.strip_prefix(tree.path()) {
                Ok(inside) => format!("TREE/{}", inside.display()),
                Err(_) => found.display().to_string(),
            }
        };
        assert_eq!(place("/srv/www"), "TREE/srv/www");
        assert_eq!(place("/srv/app.conf"), "TREE/srv/app.conf");
        assert_eq!(place("/data"), "TREE/mnt/disk");
        assert_eq!(place("/var/www/www"), "TREE/srv/www");
        assert_eq!(place("/"), "TREE/");
        assert_eq!(place("/srv/../../../srv"), "TREE/srv");
        // The same in the machine.
        assert_eq!(place("/dev/fuse"), "/dev/fuse");
        assert_eq!(place("/var/run"), "/run");
        assert_eq!(place("/var/lib/docker/volumes/v/_data"), "/var/lib/docker/volumes/v/_data");
        // Made by the engine where nobody else sees it.
        assert_eq!(place("/no-such-place/a/b"), "TREE/no-such-place/a/b");
        assert_eq!(place("/data/new"), "TREE/mnt/disk/new");
        assert!(tree.path().join("mnt/disk/new").is_dir());
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
        let sources: Vec<_> = (0..4).map(|at| new["mounts"][at]["source"].clone()).collect();
        assert_eq!(
            sources,
            ["proc".into(), in_tree("srv/app.conf"), in_tree("mnt/disk"), "/srv".into()]
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

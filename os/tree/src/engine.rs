//! The user's engine in the tree: its root has the files that people see, but the machine's programs.

use std::io::{Error, Result};
use std::path::Path;
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use crate::root::{enter, propagate, remount};
use crate::{TREE, wait_until};

/// The console creates this file when its folders are in the tree.
const READY: &str = "/run/tree/ready";

/// The timeout for the console, which mounts its folders first of all. Without a console the engine
/// starts all the same.
const CONSOLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The mount point for preparing the tree, on the container's own root.
const STAGE: &str = "/.tree";

/// Mounts of the container that the engine keeps: the runtime must see mounts that the engine makes in
/// them, so they are shared with the machine, or they are private to the container.
const CONTAINER_MOUNTS: [&str; 5] = ["dev", "proc", "run", "sys", "var/lib/docker"];

/// The upper layer of `/usr`, for the folders that the engine creates as sources of bind mounts. The
/// runtime creates them in the tree, too.
const USR_LAYER: &str = "/run/tree/usr";

/// Lets the engine know that the console's folders are in the tree.
pub(crate) fn mark_ready() -> Result<()> {
    std::fs::write(READY, "")
}

/// Makes the tree the root of this process, which starts the engine. The machine's programs, which are in
/// `/usr` of this container, take precedence over those of the console.
///
/// # Errors
/// The console did not mount its folders in time, or a mount fails; the engine can run in the root that
/// it has.
pub fn enter_tree() -> Result<()> {
    wait_for_console()?;
    std::fs::create_dir_all(STAGE)?;
    let stage = Path::new(STAGE);
    propagate(Path::new("/"), MsFlags::MS_PRIVATE)?;
    let all = MsFlags::MS_BIND | MsFlags::MS_REC;
    remount(Path::new(TREE), stage, all)?;
    // Mounts made here from now on are private to the engine; mounts of others propagate to here.
    propagate(stage, MsFlags::MS_SLAVE | MsFlags::MS_REC)?;
    for path in CONTAINER_MOUNTS {
        remount(&Path::new("/").join(path), &stage.join(path), all)?;
    }
    programs(stage)?;
    // For bind mounts with shared propagation: the engine checks that the source is a shared mount.
    for folder in [stage.to_owned(), stage.join("home"), stage.join("opt")] {
        propagate(&folder, MsFlags::MS_SHARED)?;
    }
    enter(stage)
}

/// Mounts the machine's programs over the console's, which may lack programs or have other versions.
fn programs(stage: &Path) -> Result<()> {
    for folder in ["new", "work"] {
        std::fs::create_dir_all(Path::new(USR_LAYER).join(folder))?;
    }
    let usr = stage.join("usr");
    let layers = format!(
        "lowerdir=/usr:{},upperdir={USR_LAYER}/new,workdir={USR_LAYER}/work",
        usr.display()
    );
    let overlay = Some("overlay");
    mount(
        overlay,
        &usr,
        overlay,
        MsFlags::empty(),
        Some(layers.as_str()),
    )
    .map_err(|error| Error::other(format!("/usr: {error}")))?;
    // An overlay does not include mounts inside its layers, and busybox, which provides `modprobe`, is on
    // such a mount.
    let own = Path::new(sys::PROGRAMS);
    remount(own, &usr.join("lib/rancher"), MsFlags::MS_BIND)?;
    for name in ["bin", "lib", "lib64", "sbin"] {
        let target = stage.join(name);
        match std::fs::symlink_metadata(&target) {
            // The console has programs outside `/usr`.
            Ok(found) if found.is_dir() => {
                remount(&Path::new("/usr").join(name), &target, MsFlags::MS_BIND)?;
            }
            Ok(_) => (),
            Err(_) => std::os::unix::fs::symlink(format!("usr/{name}"), &target)?,
        }
    }
    Ok(())
}

fn wait_for_console() -> Result<()> {
    if wait_until(CONSOLE_TIMEOUT, || Path::new(READY).exists())? {
        return Ok(());
    }
    let seconds = CONSOLE_TIMEOUT.as_secs();
    Err(Error::other(format!(
        "timed out after {seconds} s waiting for the console; sources of bind mounts are in the engine's own folders"
    )))
}

//! The user's engine in the tree: it sees the files that people see, with the programs of the machine.

use std::io::{Error, Result};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::TREE;
use super::root::{enter, propagate, remount};

/// The folder of the signs between console and engine.
pub const SIGNS: &str = "/run/tree";

/// It exists when the console has put its folders into the tree.
const READY: &str = "/run/tree/ready";

/// How long the console is waited for. It does this first of all, and a machine whose console does not
/// start has an engine all the same.
const CONSOLE_LIMIT: Duration = Duration::from_secs(60);

/// Where the tree is prepared, on the container's own root.
const STAGE: &str = "/.tree";

/// Mounts of its container that it keeps: they are shared with the machine, where the runtime must see
/// what the engine mounts in them, or are the container's own.
const OWN: [&str; 5] = ["dev", "proc", "run", "sys", "var/lib/docker"];

/// What the engine writes below `/usr`: the folders that it makes for bind mounts. The runtime makes
/// them in the tree, too.
const USR: &str = "/run/tree/usr";

/// Tells the engine that the console has put its folders into the tree.
pub(super) fn say_ready() -> Result<()> {
    std::fs::write(READY, "")
}

/// Makes the tree the root of this process, which becomes the engine. Programs are the machine's, as
/// `/usr` of this container has them, before those of the console.
///
/// # Errors
/// The console did not put its folders there in time, or something cannot be mounted: the engine can go
/// on with the root that it has.
pub fn enter_tree() -> Result<()> {
    wait_for_console()?;
    std::fs::create_dir_all(STAGE)?;
    let stage = Path::new(STAGE);
    propagate(Path::new("/"), MsFlags::MS_PRIVATE)?;
    let all = MsFlags::MS_BIND | MsFlags::MS_REC;
    remount(Path::new(TREE), stage, all)?;
    // What is mounted here from now on is the engine's alone, and what others mount shows here.
    propagate(stage, MsFlags::MS_SLAVE | MsFlags::MS_REC)?;
    for path in OWN {
        remount(&Path::new("/").join(path), &stage.join(path), all)?;
    }
    programs(stage)?;
    // For binds that ask for shared propagation, which the engine looks for here.
    for folder in [stage.to_owned(), stage.join("home"), stage.join("opt")] {
        propagate(&folder, MsFlags::MS_SHARED)?;
    }
    enter(stage)
}

/// Lays the machine's programs over the console's, which may lack or have other ones.
fn programs(stage: &Path) -> Result<()> {
    for folder in ["new", "work"] {
        std::fs::create_dir_all(Path::new(USR).join(folder))?;
    }
    let usr = stage.join("usr");
    let layers = format!(
        "lowerdir=/usr:{},upperdir={USR}/new,workdir={USR}/work",
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
    // A layer has nothing of what is mounted in it, and busybox, which `modprobe` is, is there.
    let own = Path::new(crate::PROGRAMS);
    remount(own, &usr.join("lib/rancher"), MsFlags::MS_BIND)?;
    for name in ["bin", "lib", "lib64", "sbin"] {
        let place = stage.join(name);
        match std::fs::symlink_metadata(&place) {
            // A console whose programs are not below `/usr`.
            Ok(found) if found.is_dir() => {
                remount(&Path::new("/usr").join(name), &place, MsFlags::MS_BIND)?;
            }
            Ok(_) => (),
            Err(_) => std::os::unix::fs::symlink(format!("usr/{name}"), &place)?,
        }
    }
    Ok(())
}

fn wait_for_console() -> Result<()> {
    if wait_until(CONSOLE_LIMIT, || Path::new(READY).exists())? {
        return Ok(());
    }
    let seconds = CONSOLE_LIMIT.as_secs();
    Err(Error::other(format!(
        "no console has begun within {seconds} s; bind mounts name the engine's own folders"
    )))
}

/// Waits until something holds that a file in [`SIGNS`] tells; false when it does not in time.
///
/// # Errors
/// The folder cannot be watched.
pub fn wait_until(limit: Duration, holds: impl Fn() -> bool) -> Result<bool> {
    std::fs::create_dir_all(SIGNS)?;
    let signs = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let changes = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE;
    signs.add_watch(SIGNS, changes)?;
    let deadline = Instant::now() + limit;
    while !holds() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        poll(
            &mut [PollFd::new(signs.as_fd(), PollFlags::POLLIN)],
            timeout,
        )?;
        let _ = signs.read_events();
    }
    Ok(true)
}

//! Mounting local disks, and activating swap.

use std::path::Path;
use std::time::{Duration, Instant};

use config::Mount;
use sys::report::Report;
use sys::uevents::DeviceEvent;
use sys::{Linux, Outcome, Progress, Result, Sys, blkid};
use tree::{TREE, resolve};

use crate::options::{is_mounted, options};
use crate::remote;

/// The timeout for disks that are not there yet, for all of them together.
const DISK_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout for mounting one of them.
const MOUNT_TIMEOUT: Duration = Duration::from_secs(60);

/// The timeout for checking a file system, and how often the console shows the progress.
const CHECK: Progress = Progress {
    timeout: Duration::from_secs(30 * 60),
    interval: Duration::from_secs(30),
};

/// The exit statuses of e2fsck(8) are sums; from this one on errors are left.
const ERRORS_LEFT: i32 = 4;

/// Mounts everything that is not mounted yet. Returns when each disk is mounted or has failed; network
/// file systems are mounted in the background.
pub fn mount_all(mounts: &[Mount]) {
    let mut report = Report::new();
    let wanted = mounts.iter().filter(|mount| !mount.has("noauto"));
    let (remote, local): (Vec<_>, Vec<_>) = wanted.partition(|mount| mount.is_remote());
    let deadline = Instant::now() + DISK_TIMEOUT;
    let mut linux = Linux::default();
    if !local.is_empty()
        && let Err(error) = linux.watch_devices()
    {
        report.print(&format!("rancher: mounts: {error}"));
    }
    for mount in local {
        if let Err(error) = mount_disk(&mut linux, mount, deadline, &mut report) {
            let (device, folder) = (&mount.device, &mount.folder);
            report.print(&format!("rancher: mounts: {device} on {folder}: {error}"));
        }
    }
    remote::mount_all(remote.into_iter().cloned().collect());
}

fn mount_disk(
    linux: &mut Linux,
    mount: &Mount,
    deadline: Instant,
    report: &mut Report,
) -> Result<()> {
    let Some(device) = wait_for(linux, mount, deadline)? else {
        return Err("there is no such disk".into());
    };
    if mount.is_swap() {
        return swap_on(linux, &device);
    }
    let target = resolve(&mount.folder, Path::new(TREE)).map_err(|error| error.to_string())?;
    let target = target.to_string_lossy();
    if is_mounted(&linux.read("/proc/self/mountinfo")?, &target, &device) {
        return Ok(());
    }
    let kind = match mount.kind.as_str() {
        "auto" => blkid::file_system(linux, &device)?.kind,
        kind => kind.to_owned(),
    };
    if kind.is_empty() {
        return Err(format!(
            "it has no file system; hint: `sudo mkfs.ext4 {device}` makes one"
        ));
    }
    if kind.starts_with("ext") {
        check(linux, &device, report)?;
    }
    run_mount(linux, &kind, &options(mount), &device, &target)?;
    report.print(&format!("rancher: mounted {device} on {}", mount.folder));
    Ok(())
}

/// Waits for the device of a mount; `None` if it does not appear before the deadline.
fn wait_for(linux: &mut Linux, mount: &Mount, deadline: Instant) -> Result<Option<String>> {
    loop {
        if let Some(device) = blkid::device(linux, &mount.device)? {
            return Ok(Some(device));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || mount.has("nofail") {
            return Ok(None);
        }
        while let Some(DeviceEvent::Other) = linux.next_device(left)? {}
    }
}

fn swap_on(linux: &mut Linux, device: &str) -> Result<()> {
    let swaps = linux.read("/proc/swaps")?;
    let mut active = swaps.lines().map(|line| line.split_whitespace().next());
    if active.any(|one| one == Some(device)) {
        return Ok(());
    }
    let output = linux.run_with_timeout("swapon", &[device], MOUNT_TIMEOUT)?;
    output.success("swapon", &[device]).map(drop)
}

fn run_mount(
    linux: &mut Linux,
    kind: &str,
    options: &str,
    device: &str,
    target: &str,
) -> Result<()> {
    let arguments = ["-t", kind, "-o", options, device, target];
    let output = linux.run_with_timeout("mount", &arguments, MOUNT_TIMEOUT)?;
    match output.status {
        0 => Ok(()),
        _ => Err(output.stderr.trim().to_owned()),
    }
}

/// Checks a file system and makes the repairs that lose no data (`e2fsck -p`).
fn check(linux: &mut Linux, device: &str, report: &mut Report) -> Result<()> {
    let mut on_progress = |passed: Duration| {
        let seconds = passed.as_secs();
        report.print(&format!("rancher: e2fsck {device} has run for {seconds} s"));
    };
    match linux.run_with_progress("e2fsck", &["-p", device], CHECK, &mut on_progress)? {
        Outcome::Exited(output) if (0..ERRORS_LEFT).contains(&output.status) => Ok(()),
        Outcome::Exited(_) => Err(format!(
            "its file system is damaged; hint: repair it with `sudo e2fsck {device}`"
        )),
        Outcome::Killed | Outcome::Stuck => Err("timed out checking its file system".into()),
    }
}

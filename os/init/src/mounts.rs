//! Mounts what `mounts` of the configuration says, in the tree of people and their containers (see
//! [`crate::tree`]).
//!
//! What is on a disk is mounted before console and engine start, so that both find their files there.
//! What comes over the network is tried again until it works: the console does not wait for it, and the
//! engine for `REMOTE_LIMIT`.

mod remote;

use std::path::Path;
use std::time::{Duration, Instant};

use config::Mount;

use crate::report::Report;
use crate::stages::find;
use crate::sys::{Linux, Outcome, Patience, Result, Sys};
use crate::tree::{TREE, place};
use crate::uevents::Came;

/// How long disks that are not there yet are waited for, all together.
const DISK_LIMIT: Duration = Duration::from_secs(10);

/// How long mounting one may take.
const MOUNT_LIMIT: Duration = Duration::from_secs(60);

/// How long a check of a file system may take, and how often the console hears that it goes on.
const CHECK: Patience = Patience {
    limit: Duration::from_secs(30 * 60),
    tell: Duration::from_secs(30),
};

pub use remote::wait as wait_for_remote;

/// How long the engine waits for what comes over the network.
const REMOTE_LIMIT: Duration = Duration::from_secs(60);

/// Options of fstab(5) that are no options of a file system.
const NOT_THE_KERNELS: [&str; 12] = [
    "_netdev",
    "auto",
    "defaults",
    "group",
    "noauto",
    "nofail",
    "nouser",
    "owner",
    "sw",
    "user",
    "users",
    "nobootwait",
];

/// Mounts everything that is not mounted yet; returns when disks are mounted, or were given up.
pub fn mount_all(mounts: &[Mount]) {
    let mut report = Report::new();
    let wanted = mounts.iter().filter(|mount| !mount.has("noauto"));
    let (remote, local): (Vec<_>, Vec<_>) = wanted.partition(|mount| mount.is_remote());
    let deadline = Instant::now() + DISK_LIMIT;
    let mut linux = Linux::default();
    if !local.is_empty()
        && let Err(error) = linux.watch_devices()
    {
        report.say(&format!("rancher: mounts: {error}"));
    }
    for mount in local {
        if let Err(error) = mount_disk(&mut linux, mount, deadline, &mut report) {
            let (device, folder) = (&mount.device, &mount.folder);
            report.say(&format!("rancher: mounts: {device} on {folder}: {error}"));
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
    let place = place(&mount.folder, Path::new(TREE)).map_err(|error| error.to_string())?;
    let place = place.to_string_lossy();
    if is_mounted(&linux.read("/proc/self/mountinfo")?, &place, &device) {
        return Ok(());
    }
    let kind = match mount.kind.as_str() {
        "auto" => find::file_system(linux, &device)?.kind,
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
    run_mount(linux, &kind, &options(mount), &device, &place)?;
    report.say(&format!("rancher: mounted {device} on {}", mount.folder));
    Ok(())
}

/// The device, as soon as it is there.
fn wait_for(linux: &mut Linux, mount: &Mount, deadline: Instant) -> Result<Option<String>> {
    loop {
        if let Some(device) = find::device(linux, &mount.device)? {
            return Ok(Some(device));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || mount.has("nofail") {
            return Ok(None);
        }
        while let Some(Came::Other) = linux.device_came(left)? {}
    }
}

fn swap_on(linux: &mut Linux, device: &str) -> Result<()> {
    let swaps = linux.read("/proc/swaps")?;
    if swaps
        .lines()
        .any(|line| line.split_whitespace().next() == Some(device))
    {
        return Ok(());
    }
    let ended = linux.ask_within("swapon", &[device], MOUNT_LIMIT)?;
    ended.well("swapon", &[device]).map(drop)
}

/// What the file system itself is told.
fn options(mount: &Mount) -> String {
    let own = mount.options.iter().map(String::as_str);
    let own = own.filter(|one| !NOT_THE_KERNELS.contains(one));
    let own = own.filter(|one| !one.starts_with("x-") && !one.starts_with("comment="));
    let own: Vec<_> = own.collect();
    if own.is_empty() {
        "rw".into()
    } else {
        own.join(",")
    }
}

fn run_mount(
    linux: &mut Linux,
    kind: &str,
    options: &str,
    device: &str,
    place: &str,
) -> Result<()> {
    let arguments = ["-t", kind, "-o", options, device, place];
    let ended = linux.ask_within("mount", &arguments, MOUNT_LIMIT)?;
    match ended.status {
        0 => Ok(()),
        _ => Err(ended.errors.trim().to_owned()),
    }
}

/// Has e2fsck do what takes nothing away from anybody (`-p`).
fn check(linux: &mut Linux, device: &str, report: &mut Report) -> Result<()> {
    let mut tell = |passed: Duration| {
        let seconds = passed.as_secs();
        report.say(&format!("rancher: e2fsck {device} has run for {seconds} s"));
    };
    match linux.ask_patiently("e2fsck", &["-p", device], CHECK, &mut tell)? {
        // Exit statuses of e2fsck(8) are sums; from 4 on errors are left.
        Outcome::Ended(ended) if (0..4).contains(&ended.status) => Ok(()),
        Outcome::Ended(_) => Err(format!(
            "its file system is damaged; hint: repair it with `sudo e2fsck {device}`"
        )),
        Outcome::Killed | Outcome::Hangs => {
            Err("its file system could not be checked in time".into())
        }
    }
}

/// Whether a device is mounted at a place, by proc_pid_mountinfo(5). The kernel leaves the last `/` of
/// `HOST:/PATH/` out.
fn is_mounted(mounts: &str, place: &str, device: &str) -> bool {
    let device = device.trim_end_matches('/');
    mounts.lines().any(|line| {
        let at = line.split(' ').nth(4);
        let of = line
            .split(" - ")
            .nth(1)
            .and_then(|rest| rest.split(' ').nth(1));
        at == Some(place) && of.map(|of| of.trim_end_matches('/')) == Some(device)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(text: &str) -> Mount {
        text.parse().unwrap()
    }

    #[test]
    fn only_options_of_the_file_system_are_passed_on() {
        let of = |text: &str| options(&mount(text));
        assert_eq!(of("/dev/vdb /mnt ext4 defaults,nofail"), "rw");
        let mixed = "/dev/vdb /mnt ext4 noatime,x-systemd.automount,_netdev,comment=a";
        assert_eq!(of(mixed), "noatime");
    }

    #[test]
    fn a_disk_is_mounted_when_device_and_place_are_those() {
        let mounts = "30 1 254:16 / /tree/mnt rw shared:3 - ext4 /dev/vdb rw\n";
        assert!(is_mounted(mounts, "/tree/mnt", "/dev/vdb"));
        assert!(!is_mounted(mounts, "/tree/mnt", "/dev/vdc"));
        assert!(!is_mounted(mounts, "/tree/mnt/data", "/dev/vdb"));
    }
}

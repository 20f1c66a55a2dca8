//! The stage `state`.

use nix::mount::MsFlags;
use sys::{Result, blkid};

use super::{check, find, format, grow};
use crate::boot::Boot;

/// Finds, checks and mounts the state disk on /var, and creates the folders there.
///
/// # Errors
/// There is no usable disk, but the configuration requires one; or a folder cannot be created.
pub(crate) fn state(boot: &mut Boot<'_>) -> Result<()> {
    let early = config::from_cmdline(&boot.sys.read("/proc/cmdline")?).config;
    match mount_state(boot, &early.state) {
        Ok(None) => (),
        Ok(Some(reason)) => boot.report.print(&in_memory(&reason)),
        Err(error) if early.state.required => return Err(error),
        Err(error) => {
            boot.report.failure("state", &error, false);
            boot.report
                .print(&in_memory("the state disk cannot be used"));
        }
    }
    for folder in [
        "/var/lib/docker",
        "/var/lib/rancher/conf",
        "/var/lib/rancher/state/home",
        "/var/lib/rancher/state/opt",
        "/var/lib/system-docker",
        "/var/log",
    ] {
        boot.sys.create_dir(folder)?;
    }
    // Containerd mounts the paths that the user's Docker names, and it runs here: the files of people must
    // have the same paths here as in the console.
    for folder in ["home", "opt"] {
        let folder_on_disk = format!("/var/lib/rancher/state/{folder}");
        boot.remount(&folder_on_disk, &format!("/{folder}"), MsFlags::MS_BIND)?;
    }
    boot.sys
        .symlink("/run", "/var/run")
        .or_else(|error| match boot.sys.list("/var/run") {
            Ok(_) => Ok(()),
            Err(_) => Err(error),
        })
}

fn in_memory(reason: &str) -> String {
    format!("rancher: {reason}; /var is in memory, and files there are lost at the next boot")
}

/// Mounts the state disk over the tmpfs on `/var`; returns the reason if there is none.
fn mount_state(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    if state.dev == "none" {
        return Ok(Some("state.dev is none".into()));
    }
    let Some(device) = find_or_format(boot, state)? else {
        let reason = format!("there is no disk {}", state.dev);
        return if state.required {
            Err(format!("{reason}, but `state.required` is set"))
        } else {
            Ok(Some(reason))
        };
    };
    mount(boot, state, &device)?;
    boot.report
        .print(&format!("Mounting state device {device} to /var"));
    Ok(None)
}

/// Finds the state disk; if there is none, formats a blank one if the configuration allows it.
fn find_or_format(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    if let Some(device) = find::wait_for(boot, state)? {
        return Ok(Some(device));
    }
    let Some(blank) = format::first_blank(boot, state)? else {
        return Ok(None);
    };
    if let Some(device) = find::before_format(boot, state, &blank)? {
        return Ok(Some(device));
    }
    format::format(boot, state, &blank)?;
    Ok(Some(blank))
}

fn mount(boot: &mut Boot<'_>, state: &config::State, device: &str) -> Result<()> {
    let found = blkid::file_system(boot.sys, device)?;
    if found.kind.starts_with("ext") {
        // A failure is not fatal: the disk works with its old size.
        if let Err(error) = grow::partition(boot, device) {
            boot.report.print(&format!("rancher: {device}: {error}"));
        }
        check::check(boot, device)?;
    }
    let kind = match state.fstype.as_str() {
        "auto" if found.kind.is_empty() => {
            return Err(format!("{device} has no file system; it was not changed"));
        }
        "auto" => found.kind.as_str(),
        asked => asked,
    };
    boot.mount(device, "/var", kind, MsFlags::empty(), "")
        .map_err(|error| format!("{error} (as {kind})"))?;
    if kind == "ext4"
        && let Some(size) = found.size
        && let Err(error) = grow::file_system(boot, device, size)
    {
        boot.report.print(&format!("rancher: {device}: {error}"));
    }
    Ok(())
}

//! What outlives a boot, and where.

mod check;
pub(crate) mod find;
mod format;
mod grow;

use nix::mount::MsFlags;

use super::Boot;
use crate::sys::Result;

pub(super) fn state(boot: &mut Boot<'_>) -> Result<()> {
    let early = config::from_cmdline(&boot.sys.read("/proc/cmdline")?).config;
    match mount_state(boot, &early.state) {
        Ok(None) => (),
        Ok(Some(reason)) => boot.report.say(&in_memory(&reason)),
        Err(error) if early.state.required => return Err(error),
        Err(error) => {
            boot.report.failure("state", &error, false);
            boot.report.say(&in_memory("the state disk cannot be used"));
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
        boot.sys.make_folder(folder)?;
    }
    // Containerd mounts what the user's Docker names, and it runs here: people's files must have the
    // same names here as in the console.
    for folder in ["home", "opt"] {
        let kept = format!("/var/lib/rancher/state/{folder}");
        boot.remount(&kept, &format!("/{folder}"), MsFlags::MS_BIND)?;
    }
    boot.sys
        .link("/run", "/var/run")
        .or_else(|error| match boot.sys.list("/var/run") {
            Ok(_) => Ok(()),
            Err(_) => Err(error),
        })
}

fn in_memory(reason: &str) -> String {
    format!("rancher: {reason}; /var is in memory: what is written is gone at the next boot")
}

/// Mounts the state device over the tmpfs on `/var`; otherwise the reason why there is none.
fn mount_state(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    if state.dev == "none" {
        return Ok(Some("state.dev is none".into()));
    }
    let Some(device) = find_or_make(boot, state)? else {
        let reason = format!("no disk is {}", state.dev);
        return match state.required {
            true => Err(format!("{reason}, and state.required asks for it")),
            false => Ok(Some(reason)),
        };
    };
    mount(boot, state, &device)?;
    boot.report
        .say(&format!("Mounting state device {device} to /var"));
    Ok(None)
}

/// The state disk; a blank one becomes it where that is asked for and there is none.
fn find_or_make(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
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
    let found = find::file_system(boot.sys, device)?;
    if found.kind.starts_with("ext") {
        // A disk that stays as large as it was is as good as before.
        if let Err(error) = grow::partition(boot, device) {
            boot.report.say(&format!("rancher: {device}: {error}"));
        }
        check::check(boot, device)?;
    }
    let kind = match state.fstype.as_str() {
        "auto" if found.kind.is_empty() => {
            return Err(format!("{device} has no file system; it was not touched"));
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
        boot.report.say(&format!("rancher: {device}: {error}"));
    }
    Ok(())
}

//! What outlives a boot, and where.

use nix::mount::MsFlags;

use super::Boot;
use crate::sys::Result;

pub(super) fn state(boot: &mut Boot<'_>) -> Result<()> {
    let early = config::from_cmdline(&boot.sys.read("/proc/cmdline")?).config;
    let mounted = mount_state(boot, &early.state);
    match mounted {
        Ok(Some(device)) => boot
            .report
            .say(&format!("Mounting state device {device} to /var")),
        Ok(None) => boot
            .report
            .say("No state device: what is written is gone at the next boot"),
        Err(error) if early.state.required => return Err(error),
        Err(error) => boot.report.failure("state", &error, false),
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

/// Mounts the state device over the tmpfs on `/var`; `None` when there is none.
fn mount_state(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    if state.dev == "none" {
        return Ok(None);
    }
    let device = if state.dev.contains('=') {
        match boot.sys.run("/usr/bin/findfs", &[&state.dev]) {
            Ok(found) => found.trim().to_owned(),
            Err(error) if state.required => return Err(error),
            Err(_) => return Ok(None),
        }
    } else {
        state.dev.clone()
    };
    boot.sys
        .run("/usr/bin/mount", &["-t", &state.fstype, &device, "/var"])?;
    Ok(Some(device))
}

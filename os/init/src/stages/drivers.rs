//! Modules for the hardware.

use super::Boot;
use crate::sys::Result;

/// Loads the drivers that the devices ask for (their `modalias`), and those that the configuration
/// of the command line names.
pub(super) fn drivers(boot: &mut Boot<'_>) -> Result<()> {
    let mut wanted = Vec::new();
    for bus in boot.sys.list("/sys/bus")? {
        let devices = format!("/sys/bus/{bus}/devices");
        for device in boot.sys.list(&devices).unwrap_or_default() {
            // Most devices have none.
            if let Ok(alias) = boot.sys.read(&format!("{devices}/{device}/modalias")) {
                wanted.push(alias.trim().to_owned());
            }
        }
    }
    wanted.sort();
    wanted.dedup();
    load(boot, &wanted);
    // A disk behind a controller whose driver came now asks for its own later than we look. Where there
    // is no such controller nobody needs them, and they are a twentieth of an emulated boot.
    let hosts = boot.sys.list("/sys/class/scsi_host").unwrap_or_default();
    if !hosts.is_empty() {
        load(boot, &["sd_mod".to_owned(), "sr_mod".to_owned()]);
    }
    Ok(())
}

/// Not every device has a module for it: the status says nothing.
fn load(boot: &mut Boot<'_>, modules: &[String]) {
    let mut arguments = vec!["-a", "-b", "-q"];
    arguments.extend(modules.iter().map(String::as_str));
    let _ = boot.sys.run("/usr/sbin/modprobe", &arguments);
}

//! Modules for the hardware.

use super::Boot;
use crate::sys::Result;

/// Loads the drivers that the devices ask for (their `modalias`), and those that the configuration
/// of the command line names.
pub(super) fn drivers(boot: &mut Boot<'_>) -> Result<()> {
    let mut wanted = Vec::new();
    for bus in boot.sys.list("/sys/bus")? {
        // What a processor can do is no device: the ciphers that it has instructions for take time to
        // load, and `modules` of the configuration names them where disks are encrypted.
        if bus == "cpu" {
            continue;
        }
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
    load(boot, wanted.iter().map(String::as_str));
    // A disk behind a controller whose driver came now asks for its own later than we look. Where there
    // is no such controller they would only take their time.
    let hosts = boot.sys.list("/sys/class/scsi_host").unwrap_or_default();
    if !hosts.is_empty() {
        load(boot, ["sd_mod", "sr_mod"]);
    }
    Ok(())
}

/// Not every device has a module for it: the status says nothing.
fn load<'a>(boot: &mut Boot<'_>, modules: impl IntoIterator<Item = &'a str>) {
    let mut arguments = vec!["-a", "-b", "-q"];
    arguments.extend(modules);
    let _ = boot.sys.run("/usr/sbin/modprobe", &arguments);
}

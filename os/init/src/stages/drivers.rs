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
    // A disk behind a controller whose driver comes now asks for its own later than we look.
    wanted.extend(["sd_mod".to_owned(), "sr_mod".to_owned()]);
    wanted.sort();
    wanted.dedup();
    let mut arguments = vec!["-a", "-b", "-q"];
    arguments.extend(wanted.iter().map(String::as_str));
    // Not every device has a module for it: the status says nothing.
    let _ = boot.sys.run("/usr/sbin/modprobe", &arguments);
    Ok(())
}

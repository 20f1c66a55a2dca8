//! Kernel modules for the hardware.

use sys::Result;

use crate::boot::Boot;

/// Loads the drivers of all devices, by their `modalias`.
pub(crate) fn drivers(boot: &mut Boot<'_>) -> Result<()> {
    let mut wanted = Vec::new();
    for bus in boot.sys.list("/sys/bus")? {
        // The processor's features would load modules for its cipher instructions, which takes time; if
        // disks are encrypted, `modules` of the configuration names them.
        if bus == "cpu" {
            continue;
        }
        let devices = format!("/sys/bus/{bus}/devices");
        for device in boot.sys.list(&devices).unwrap_or_default() {
            // Most devices have no modalias.
            if let Ok(alias) = boot.sys.read(&format!("{devices}/{device}/modalias")) {
                wanted.push(alias.trim().to_owned());
            }
        }
    }
    wanted.sort();
    wanted.dedup();
    load(boot, wanted.iter().map(String::as_str));
    // A disk behind a controller whose driver was just loaded appears later than this stage looks. Without
    // such a controller loading these modules would only take time.
    let hosts = boot.sys.list("/sys/class/scsi_host").unwrap_or_default();
    if !hosts.is_empty() {
        load(boot, ["sd_mod", "sr_mod"]);
    }
    Ok(())
}

/// Loads modules. The exit status is ignored, because not every device has a module.
fn load<'a>(boot: &mut Boot<'_>, modules: impl IntoIterator<Item = &'a str>) {
    let mut arguments = vec!["-a", "-b", "-q"];
    arguments.extend(modules);
    let _ = boot.sys.run("/usr/sbin/modprobe", &arguments);
}

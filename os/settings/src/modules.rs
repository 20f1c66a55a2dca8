//! Kernel modules.

use sys::{Result, Sys};

/// Loads the kernel modules that the configuration names.
///
/// # Errors
/// modprobe fails; it loads the other modules all the same.
pub fn load_modules(sys: &mut dyn Sys, modules: &[String]) -> Result<()> {
    if modules.is_empty() {
        return Ok(());
    }
    let mut arguments = vec!["-a", "-b"];
    arguments.extend(modules.iter().map(String::as_str));
    sys.run("/usr/sbin/modprobe", &arguments).map(drop)
}

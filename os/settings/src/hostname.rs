//! The host name and the files that name it.

use sys::{Result, Sys};

/// The name of a machine whose configured name is not valid.
const FALLBACK: &str = "rancher";

/// Sets the host name, and writes `/etc/hostname` and `/etc/hosts`, of the machine or of the container
/// that this process runs in.
///
/// # Errors
/// The name is not valid, in which case the machine is called `rancher`; or a file cannot be written.
pub fn set_hostname(sys: &mut dyn Sys, asked: &str) -> Result<()> {
    let is_valid = config::hostname::is_valid(asked);
    let name = if is_valid { asked } else { FALLBACK };
    // First the files: containers mount them, so they must exist even if the name cannot be set.
    let hosts = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {name}\n"
    );
    sys.write("/etc/hosts", &hosts)?;
    sys.write("/etc/hostname", &format!("{name}\n"))?;
    sys.set_hostname(name)?;
    if is_valid {
        Ok(())
    } else {
        Err(format!("`{asked}` is not a valid host name"))
    }
}

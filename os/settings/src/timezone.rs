//! The time zone.

use sys::{Result, Sys};

/// Time zones, as files of the tz database.
const ZONES: &str = "/usr/share/zoneinfo";

/// The file that programs read the machine's time zone from (tzset(3)).
const LOCALTIME: &str = "/etc/localtime";

/// Sets the machine's time zone. The file is overwritten in place, because containers mount it.
///
/// # Errors
/// There is no such zone, in which case the machine uses UTC.
pub fn set_timezone(sys: &mut dyn Sys, name: &str) -> Result<()> {
    let copied = sys.copy_file(&format!("{ZONES}/{name}"), LOCALTIME);
    if copied.is_ok() {
        return Ok(());
    }
    // The file must exist: an engine creates a folder for the missing source of a bind mount.
    sys.copy_file(&format!("{ZONES}/UTC"), LOCALTIME)?;
    Err(format!(
        "unknown time zone `{name}`; the machine uses UTC; hint: `ls {ZONES}` in the console lists the zones"
    ))
}

//! The file system of the state disk is whole before it is mounted.

use super::Boot;
use crate::sys::Result;

const E2FSCK: &str = "/usr/sbin/e2fsck";

/// Exit statuses of e2fsck(8) are sums; from this one on errors are left.
const ERRORS_LEFT: i32 = 4;

/// Checks an ext file system: one that is clean is only looked at, one that was not unmounted or is
/// damaged is repaired.
///
/// First only what takes nothing away from anybody is done. Where that is not enough the rest is
/// done, too: nobody may be there to be asked, and a machine that forgets everything is no better.
pub fn check(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    let first = boot.sys.ask(E2FSCK, &["-p", device])?;
    for line in first.output.lines() {
        boot.report.say(&format!("rancher: e2fsck: {line}"));
    }
    if first.status == 0 {
        return Ok(());
    }
    if (1..ERRORS_LEFT).contains(&first.status) {
        boot.report.say(&format!(
            "rancher: the file system on {device} was repaired"
        ));
        return Ok(());
    }
    boot.report
        .say(&format!("rancher: the file system on {device} is damaged"));
    let second = boot.sys.ask(E2FSCK, &["-y", device])?;
    if !(0..ERRORS_LEFT).contains(&second.status) {
        let said = second.errors.trim().lines().next().unwrap_or_default();
        return Err(format!(
            "{device} cannot be repaired: e2fsck -y ends with status {}: {said}",
            second.status
        ));
    }
    boot.report.say(&format!(
        "rancher: the file system on {device} was repaired; what has lost its name is in /var/lost+found"
    ));
    Ok(())
}

//! The file system of the state disk is whole before it is mounted.

use super::Boot;
use crate::sys::{Ended, Result};

const E2FSCK: &str = "/usr/sbin/e2fsck";
const E2UNDO: &str = "/usr/sbin/e2undo";

/// What e2fsck overwrites is kept here, in memory, until it has ended well.
const UNDO: &str = "/run/state.e2undo";

/// Exit statuses of e2fsck(8) are sums; from this one on errors are left.
const ERRORS_LEFT: i32 = 4;

/// And from this one on e2fsck could not do its work.
const FAILED: i32 = 8;

/// How often it is run at most: what one run repairs may show what only the next one can.
const RUNS: usize = 3;

/// What e2fsck says of a file system that is clean; beside it that it replayed the journal, or finished
/// removing what was open, of one that was not unmounted.
const CLEAN: &str = ": clean,";

/// Checks an ext file system: one that is clean is only looked at, one that was not unmounted or is
/// damaged is repaired.
///
/// First only what takes nothing away from anybody is done. Where that is not enough the rest is
/// done, too: nobody may be there to be asked, and a machine that forgets everything is no better.
pub fn check(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    let first = boot.sys.ask(E2FSCK, &["-p", device])?;
    let what = match first.status {
        0 if first.output.lines().all(|line| line.contains(CLEAN)) => "is clean",
        0 => "was not unmounted, and is in order again",
        1..ERRORS_LEFT => "was repaired",
        _ => return repair(boot, device),
    };
    if first.status != 0 {
        say_what_was_done(boot, &first.output);
    }
    boot.report
        .say(&format!("rancher: the file system on {device} {what}"));
    Ok(())
}

fn repair(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    boot.report
        .say(&format!("rancher: the file system on {device} is damaged"));
    let ended = all_that_can_be_done(boot, device)?;
    if !(0..ERRORS_LEFT).contains(&ended.status) {
        return Err(format!(
            "{device} cannot be repaired: e2fsck -y ends with status {}: {}; {}",
            ended.status,
            last_line(&ended.errors),
            undo(boot, device)?
        ));
    }
    boot.sys.remove_file(UNDO)?;
    boot.report.say(&format!(
        "rancher: the file system on {device} was repaired; what has lost its name is in /var/lost+found"
    ));
    Ok(())
}

fn all_that_can_be_done(boot: &mut Boot<'_>, device: &str) -> Result<Ended> {
    let arguments = ["-y", "-z", UNDO, device];
    let mut ended = boot.sys.ask(E2FSCK, &arguments)?;
    for _ in 1..RUNS {
        if !(ERRORS_LEFT..FAILED).contains(&ended.status) {
            break;
        }
        ended = boot.sys.ask(E2FSCK, &arguments)?;
    }
    Ok(ended)
}

/// Gives the disk back what a repair that failed has overwritten, and says so: half a repair is worse
/// than none, for who looks at the disk next.
fn undo(boot: &mut Boot<'_>, device: &str) -> Result<String> {
    // Asked not to look whether the file belongs to the disk: e2fsck may have been cut off.
    let undone = boot.sys.ask(E2UNDO, &["-f", UNDO, device])?;
    boot.sys.remove_file(UNDO)?;
    Ok(match undone.status {
        0 => "what it did was undone".into(),
        status => format!(
            "e2undo ends with status {status}: {}",
            last_line(&undone.errors)
        ),
    })
}

fn last_line(text: &str) -> &str {
    text.trim().lines().last().unwrap_or_default()
}

fn say_what_was_done(boot: &mut Boot<'_>, output: &str) {
    for line in output.lines() {
        boot.report.say(&format!("rancher: e2fsck: {line}"));
    }
}

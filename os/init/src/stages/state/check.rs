//! The file system of the state disk is whole before it is mounted.

use std::time::{Duration, Instant};

use super::Boot;
use crate::sys::{Ended, Outcome, Patience, Result};

const E2FSCK: &str = "/usr/sbin/e2fsck";
const E2UNDO: &str = "/usr/sbin/e2undo";

/// What e2fsck overwrites is kept here, in memory, until it has ended well.
const UNDO: &str = "/run/state.e2undo";

/// All runs of e2fsck together: a large disk that is looked at whole takes many minutes, and one that
/// does not answer is not waited for without end.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Undoing a repair writes what that wrote.
const UNDO_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How often the console hears that it goes on.
const TELL: Duration = Duration::from_secs(30);

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
/// The first has no file to undo it: it replays the journal, which may be larger than the memory, and
/// each thing that it does is whole by itself, as after a power cut.
pub fn check(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    let until = Instant::now() + LIMIT;
    let first = match run(boot, E2FSCK, &["-p", device], until)? {
        Outcome::Ended(ended) => ended,
        Outcome::Killed | Outcome::Hangs => return Err(not_done(E2FSCK, device, LIMIT)),
    };
    let what = match first.status {
        0 if first.output.lines().all(|line| line.contains(CLEAN)) => "is clean",
        0 => "was not unmounted, and is in order again",
        1..ERRORS_LEFT => "was repaired",
        _ => return repair(boot, device, until),
    };
    if first.status != 0 {
        say_what_was_done(boot, &first.output);
    }
    boot.report
        .say(&format!("rancher: the file system on {device} {what}"));
    Ok(())
}

fn repair(boot: &mut Boot<'_>, device: &str, until: Instant) -> Result<()> {
    boot.report
        .say(&format!("rancher: the file system on {device} is damaged"));
    let why = match all_that_can_be_done(boot, device, until)? {
        Outcome::Ended(ended) if (0..ERRORS_LEFT).contains(&ended.status) => {
            boot.sys.remove_file(UNDO)?;
            boot.report.say(&format!(
                "rancher: the file system on {device} was repaired; what has lost its name is in /var/lost+found"
            ));
            return Ok(());
        }
        Outcome::Ended(ended) => format!(
            "{device} cannot be repaired: e2fsck -y ends with status {}: {}",
            ended.status,
            last_line(&ended.errors)
        ),
        Outcome::Killed => not_done(E2FSCK, device, LIMIT),
        // Two must not write to one disk.
        Outcome::Hangs => {
            let why = not_done(E2FSCK, device, LIMIT);
            return Err(format!("{why}; {}", by_hand(device)));
        }
    };
    Err(format!("{why}; {}", undo(boot, device)?))
}

fn all_that_can_be_done(boot: &mut Boot<'_>, device: &str, until: Instant) -> Result<Outcome> {
    let arguments = ["-y", "-z", UNDO, device];
    let mut outcome = run(boot, E2FSCK, &arguments, until)?;
    for _ in 1..RUNS {
        match &outcome {
            Outcome::Ended(Ended { status, .. }) if (ERRORS_LEFT..FAILED).contains(status) => {
                outcome = run(boot, E2FSCK, &arguments, until)?;
            }
            _ => break,
        }
    }
    Ok(outcome)
}

/// Runs a program until then, and has the console hear that it does.
fn run(boot: &mut Boot<'_>, program: &str, arguments: &[&str], until: Instant) -> Result<Outcome> {
    let limit = until.saturating_duration_since(Instant::now());
    let patience = Patience { limit, tell: TELL };
    let Boot { sys, report, .. } = boot;
    let minutes = limit.as_secs().div_ceil(60);
    let mut tell = |ran: Duration| {
        report.say(&format!(
            "rancher: {program} {} runs for {} s; it has {minutes} min",
            arguments.join(" "),
            ran.as_secs()
        ));
    };
    sys.ask_patiently(program, arguments, patience, &mut tell)
}

fn not_done(program: &str, device: &str, limit: Duration) -> String {
    let minutes = limit.as_secs() / 60;
    format!("{program} is not done with {device} after {minutes} min; it was ended")
}

fn by_hand(device: &str) -> String {
    // The console has no e2undo; udev has all of the machine's programs, and its disks.
    format!(
        "until the next boot `sudo system-docker exec udev {E2UNDO} -f {UNDO} {device}` undoes what it did"
    )
}

/// Gives the disk back what a repair that failed has overwritten, and says so: half a repair is worse
/// than none, for who looks at the disk next.
fn undo(boot: &mut Boot<'_>, device: &str) -> Result<String> {
    // Asked not to look whether the file belongs to the disk: e2fsck may have been cut off.
    let until = Instant::now() + UNDO_LIMIT;
    let undone = match run(boot, E2UNDO, &["-f", UNDO, device], until)? {
        Outcome::Ended(ended) => ended,
        Outcome::Killed | Outcome::Hangs => {
            let why = not_done(E2UNDO, device, UNDO_LIMIT);
            return Ok(format!("{why}; {}", by_hand(device)));
        }
    };
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

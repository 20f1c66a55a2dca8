//! Checking the file system of the state disk before it is mounted.

use std::time::{Duration, Instant};

use sys::{Outcome, ProgramOutput, Progress, Result};

use crate::boot::Boot;

const E2FSCK: &str = "/usr/sbin/e2fsck";
const E2UNDO: &str = "/usr/sbin/e2undo";

/// The undo file, in memory: e2fsck saves the blocks that it overwrites, until it has succeeded.
const UNDO: &str = "/run/state.e2undo";

/// The timeout of all runs of e2fsck together. A full check of a large disk takes many minutes; a disk that
/// does not answer must not block the boot.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The timeout of undoing a repair, which writes as much as the repair did.
const UNDO_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The interval of progress messages on the console.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

/// The exit statuses of e2fsck(8) are sums; from this one on errors are left.
const ERRORS_LEFT: i32 = 4;

/// From this exit status on e2fsck could not do its work.
const FAILED: i32 = 8;

/// The maximum number of runs: a repair may uncover errors that only the next run can repair.
const MAX_RUNS: usize = 3;

/// The end of e2fsck's only line about a clean file system. For one that was not unmounted it also prints
/// that it replayed the journal or removed orphaned inodes.
const CLEAN: &str = ": clean,";

/// Checks an ext file system, and repairs it if it was not unmounted or is damaged.
///
/// The first run makes only repairs that lose no data (`-p`). If errors are left, the next runs make all
/// repairs (`-y`): nobody may be there to answer questions, and a machine without its state is no better.
/// The first run has no undo file: it replays the journal, which may be larger than the memory, and each
/// of its changes is complete by itself, as after a power cut.
///
/// # Errors
/// The file system cannot be repaired, or e2fsck timed out.
pub(super) fn check(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    let until = Instant::now() + TIMEOUT;
    let first = match run(boot, E2FSCK, &["-p", device], until)? {
        Outcome::Exited(output) => output,
        Outcome::Killed | Outcome::Stuck => return Err(timed_out(E2FSCK, device, TIMEOUT)),
    };
    let result = match first.status {
        0 if first.stdout.lines().all(|line| line.contains(CLEAN)) => "is clean",
        0 => "was not unmounted and was recovered",
        1..ERRORS_LEFT => "was repaired",
        _ => return repair(boot, device, until),
    };
    if first.status != 0 {
        print_repairs(boot, &first.stdout);
    }
    boot.report
        .print(&format!("rancher: the file system on {device} {result}"));
    Ok(())
}

fn repair(boot: &mut Boot<'_>, device: &str, until: Instant) -> Result<()> {
    boot.report
        .print(&format!("rancher: the file system on {device} is damaged"));
    let why = match repair_all(boot, device, until)? {
        Outcome::Exited(output) if (0..ERRORS_LEFT).contains(&output.status) => {
            boot.sys.remove_file(UNDO)?;
            boot.report.print(&format!(
                "rancher: the file system on {device} was repaired; files without a name are in /var/lost+found"
            ));
            return Ok(());
        }
        Outcome::Exited(output) => format!(
            "{device} cannot be repaired: e2fsck -y: exit status {}: {}",
            output.status,
            last_line(&output.stderr)
        ),
        Outcome::Killed => timed_out(E2FSCK, device, TIMEOUT),
        // e2fsck may still write to the disk, so e2undo must not.
        Outcome::Stuck => {
            let why = timed_out(E2FSCK, device, TIMEOUT);
            return Err(format!("{why}; {}", undo_hint(device)));
        }
    };
    Err(format!("{why}; {}", undo(boot, device)?))
}

fn repair_all(boot: &mut Boot<'_>, device: &str, until: Instant) -> Result<Outcome> {
    let arguments = ["-y", "-z", UNDO, device];
    let mut outcome = run(boot, E2FSCK, &arguments, until)?;
    for _ in 1..MAX_RUNS {
        match &outcome {
            Outcome::Exited(ProgramOutput { status, .. })
                if (ERRORS_LEFT..FAILED).contains(status) =>
            {
                outcome = run(boot, E2FSCK, &arguments, until)?;
            }
            _ => break,
        }
    }
    Ok(outcome)
}

/// Runs a program until a deadline, with progress messages on the console.
fn run(boot: &mut Boot<'_>, program: &str, arguments: &[&str], until: Instant) -> Result<Outcome> {
    let timeout = until.saturating_duration_since(Instant::now());
    let progress = Progress {
        timeout,
        interval: PROGRESS_INTERVAL,
    };
    let Boot { sys, report, .. } = boot;
    let minutes = timeout.as_secs().div_ceil(60);
    let mut on_progress = |ran: Duration| {
        report.print(&format!(
            "rancher: {program} {} has run for {} s; the timeout is {minutes} min",
            arguments.join(" "),
            ran.as_secs()
        ));
    };
    sys.run_with_progress(program, arguments, progress, &mut on_progress)
}

fn timed_out(program: &str, device: &str, timeout: Duration) -> String {
    let minutes = timeout.as_secs() / 60;
    format!("{program} {device} timed out after {minutes} min")
}

fn undo_hint(device: &str) -> String {
    // The console has no e2undo; the container udev has all programs and disks of the machine.
    format!(
        "hint: until the next boot `sudo system-docker exec udev {E2UNDO} -f {UNDO} {device}` undoes its changes"
    )
}

/// Restores the blocks that a failed repair has overwritten; returns a message about it. Half a repair is
/// worse than none for the person who examines the disk next.
fn undo(boot: &mut Boot<'_>, device: &str) -> Result<String> {
    // `-f`: without checking that the undo file belongs to the disk, because e2fsck may have been killed.
    let until = Instant::now() + UNDO_TIMEOUT;
    let undone = match run(boot, E2UNDO, &["-f", UNDO, device], until)? {
        Outcome::Exited(output) => output,
        Outcome::Killed | Outcome::Stuck => {
            let why = timed_out(E2UNDO, device, UNDO_TIMEOUT);
            return Ok(format!("{why}; {}", undo_hint(device)));
        }
    };
    boot.sys.remove_file(UNDO)?;
    Ok(match undone.status {
        0 => "its changes were undone".into(),
        status => format!(
            "e2undo: exit status {status}: {}",
            last_line(&undone.stderr)
        ),
    })
}

fn last_line(text: &str) -> &str {
    text.trim().lines().last().unwrap_or_default()
}

fn print_repairs(boot: &mut Boot<'_>, output: &str) {
    for line in output.lines() {
        boot.report.print(&format!("rancher: e2fsck: {line}"));
    }
}

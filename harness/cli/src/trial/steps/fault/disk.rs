//! A disk that fails, is slow or full.

use std::ops::Range;

use machine::{DiskFaults, Machine};
use scenario::DiskStep;

use super::super::super::broken::Breakage;
use super::super::super::deadline::Deadline;
use super::super::super::fault::Fault;
use super::super::super::session::Session;

/// Fills the file system of the disk with serial number `$1`, and prints the file that does it.
/// Seen from PID 1, because what is mounted elsewhere need not be here.
const FILL: &str = include_str!("fill.sh");

pub(super) async fn perform(
    step: &DiskStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let number = step.disk;
    let serial = serial(number, &session.disks);
    if step.full {
        return fill(number, &serial, session, deadline).await;
    }
    // What is wrong with the device is what this step says, and nothing else.
    let before = |one: &Breakage| matches!(one, Breakage::Disk { number: of, .. } if *of == number);
    session.mend(before, deadline).await?;
    let faults = DiskFaults {
        read: step.read.is_some(),
        write: step.write.is_some(),
        slow: step.slow.map(|span| span.0),
    };
    let broken = session.machine.break_disk(&serial, faults).await?;
    session.broke(Breakage::Disk { number, broken });
    Ok(())
}

/// The serial number of a disk of the scenario: those that it plugs in come after those that it began
/// with.
fn serial(number: usize, given: &Range<usize>) -> String {
    match number.checked_sub(given.len()) {
        Some(plugged) => Machine::plugged_disk(plugged),
        None => format!("disk{}", given.start + number),
    }
}

async fn fill(
    number: usize,
    serial: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let command = format!("set -- {serial}\n{FILL}");
    let printed = session.as_root(&command, deadline).await?;
    let file = printed.trim().to_owned();
    session.broke(Breakage::Full { number, file });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_that_are_plugged_in_come_last() {
        let serials: Vec<String> = (0..4).map(|number| serial(number, &(1..3))).collect();
        assert_eq!(
            serials,
            ["disk1", "disk2", "plugged_disk0", "plugged_disk1"]
        );
    }
}

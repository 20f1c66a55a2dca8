//! Disk faults: a disk that fails, is slow, or is full.

use std::ops::Range;

use machine::{DiskFaults, Machine};
use scenario::step::DiskStep;

use crate::session::{ActiveFault, Deadline, Session, StepFailure};

/// Fills the file system of the disk with serial number `$1`, and prints the path of the filler file.
/// It reads the mounts of PID 1, because this process may be in another mount namespace.
const FILL: &str = include_str!("disk/fill.sh");

pub(super) async fn perform(
    step: &DiskStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let number = step.disk;
    let serial = serial(number, &session.disks);
    if step.full {
        return fill(number, &serial, session, deadline).await;
    }
    // The faults of this step replace earlier faults of the disk.
    let before = |fault: &ActiveFault| matches!(fault, ActiveFault::Disk { number: of, .. } if *of == number);
    session.revert(before, deadline).await?;
    let faults = DiskFaults {
        read: step.read.is_some(),
        write: step.write.is_some(),
        slow: step.slow.map(|span| span.0),
    };
    let broken = session.machine.break_disk(&serial, faults).await?;
    session.add_fault(ActiveFault::Disk { number, broken });
    Ok(())
}

/// The serial number of a disk of the scenario. Hot-plugged disks are numbered after the disks of the
/// machine.
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
) -> Result<(), StepFailure> {
    let command = format!("set -- {serial}\n{FILL}");
    let printed = session.as_root(&command, deadline).await?;
    let file = printed.trim().to_owned();
    session.add_fault(ActiveFault::Full { number, file });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_hot_plugged_disks_last() {
        let serials: Vec<String> = (0..4).map(|number| serial(number, &(1..3))).collect();
        assert_eq!(
            serials,
            ["disk1", "disk2", "plugged_disk0", "plugged_disk1"]
        );
    }
}

//! A disk that fails, is slow or full.

use crate::machine::DiskFaults;
use crate::scenario::DiskStep;

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
    let serial = format!("disk{}", session.first_disk + number);
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

//! A power cut. It needs no proof from the guest, because a new QEMU process runs afterwards.

use std::sync::Arc;

use machine::Loss;
use scenario::step::PowerCutStep;

use crate::session::{Deadline, Session, StepFailure};

pub(super) async fn perform(
    step: &PowerCutStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let seed = step.seed.unwrap_or_else(|| session.seed());
    let (machine, lost) = session.machine.power_cut(seed).await?;
    session.note(summary(seed, step.seed.is_some(), &lost));
    let machine = Arc::new(machine);
    session.switch_to(&machine);
    Ok(machine
        .fail_fast(machine.wait_ready(deadline.left()))
        .await?)
}

/// Describes the power cut, so that the trial can be run again with the same seed.
fn summary(seed: u64, is_fixed: bool, lost: &[(String, Loss)]) -> String {
    let seed = if is_fixed {
        format!("seed {seed}")
    } else {
        format!("seed {seed}, repeat with HARNESS_SEED={seed}")
    };
    let disks: Vec<String> = lost.iter().map(|(id, loss)| disk(id, *loss)).collect();
    let disks = if disks.is_empty() {
        "no disks".to_owned()
    } else {
        disks.join("; ")
    };
    format!("power cut ({seed}): {disks}")
}

fn disk(
    id: &str,
    Loss {
        writes,
        sectors,
        lost,
    }: Loss,
) -> String {
    match writes {
        0 => format!("{id} had no unflushed writes"),
        _ => format!("{id} lost {lost} of {sectors} sectors in {writes} unflushed writes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_shows_how_to_repeat_a_drawn_seed() {
        let loss = Loss {
            writes: 2,
            sectors: 9,
            lost: 4,
        };
        let lost = [
            ("disk0".to_owned(), loss),
            ("disk1".to_owned(), Loss::default()),
        ];
        insta::assert_snapshot!(summary(7, false, &lost), @"power cut (seed 7, repeat with HARNESS_SEED=7): disk0 lost 4 of 9 sectors in 2 unflushed writes; disk1 had no unflushed writes");
        insta::assert_snapshot!(summary(8, true, &[]), @"power cut (seed 8): no disks");
    }
}

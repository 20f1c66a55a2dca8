//! A power cut. That it was one needs no proof by the guest: it is another QEMU that runs then.

use std::sync::Arc;

use machine::Loss;
use scenario::PowerCutStep;

use super::super::deadline::Deadline;
use super::super::fault::Fault;
use super::super::session::Session;

pub(super) async fn perform(
    step: &PowerCutStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let seed = step.seed.unwrap_or_else(|| session.seed());
    let (machine, lost) = session.machine.power_cut(seed).await?;
    session.note(told(seed, step.seed.is_some(), &lost));
    let machine = Arc::new(machine);
    session.go_on_with(&machine);
    Ok(machine.guard(machine.wait_ready(deadline.left())).await?)
}

/// What is told of it, so that the trial can be run again with the same pattern.
fn told(seed: u64, written: bool, lost: &[(String, Loss)]) -> String {
    let again = if written {
        format!("seed {seed}")
    } else {
        format!("seed {seed}, HARNESS_SEED={seed} draws it again")
    };
    let disks: Vec<String> = lost.iter().map(|(id, loss)| disk(id, *loss)).collect();
    let disks = match disks.is_empty() {
        true => "no disk to lose anything".to_owned(),
        false => disks.join("; "),
    };
    format!("power cut ({again}): {disks}")
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
        0 => format!("{id} had all flushed"),
        _ => format!(
            "{id} lost {lost} of {sectors} sectors in {writes} writes that were not flushed"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_was_drawn_is_told_with_how_to_draw_it_again() {
        let some = Loss {
            writes: 2,
            sectors: 9,
            lost: 4,
        };
        let lost = [
            ("disk0".to_owned(), some),
            ("disk1".to_owned(), Loss::default()),
        ];
        insta::assert_snapshot!(told(7, false, &lost), @"power cut (seed 7, HARNESS_SEED=7 draws it again): disk0 lost 4 of 9 sectors in 2 writes that were not flushed; disk1 had all flushed");
        insta::assert_snapshot!(told(8, true, &[]), @"power cut (seed 8): no disk to lose anything");
    }
}

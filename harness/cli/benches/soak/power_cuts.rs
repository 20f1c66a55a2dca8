//! Power cuts at random moments: the machine boots, acknowledged work persists, and no file is partial.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::try_join_all;

use crate::chore::{BEFORE, Chore};
use crate::common::Result;
use crate::common::figure::Figure;
use crate::guest::{Guest, Line};

/// The longest time from the start of the work to the power cut in milliseconds.
const MOMENT_MS: u64 = 10_000;
/// A writer that never flushes, so that there are always unflushed writes.
const CARELESS: &str = "while :; do head -c 2000000 /dev/urandom > ~/busy; done";
/// The checks after each power cut, with the expected output.
const WHOLE: [(&str, &str); 4] = [
    (
        "sudo rancherctl config validate",
        "the configuration is valid\n",
    ),
    ("cat /sys/fs/ext4/*/errors_count | sort -u", "0\n"),
    // Each document is valid.
    (
        "sudo sh -c 'cd /var/lib/rancher/conf && for f in *.yml*; do \
         rancherctl config validate -i $f > /dev/null 2>&1 || echo $f; done'",
        "",
    ),
    // No temporary file is left.
    ("sudo ls -A /var/lib/rancher/conf | sed '/^[^.]/d'", ""),
];

/// Cuts the power the given number of times.
pub(crate) async fn soak(count: u16, seed: u64) -> Result<Vec<Figure>> {
    let mut rng = Rng::with_seed(seed);
    let mut guest = Guest::start("").await?;
    let line = guest.line().await?;
    for command in BEFORE {
        line.ask(command).await.map_err(|why| guest.failed(why))?;
    }
    let mut faults = 0.0;
    let mut last = Chore::ALL.map(|_| 0);
    for number in 1..=count {
        let acknowledged = last.map(AtomicU64::new);
        let moment = Duration::from_millis(rng.u64(0..MOMENT_MS));
        work(&guest, &acknowledged, moment).await?;
        let acknowledged = acknowledged.map(AtomicU64::into_inner);
        let lost;
        (guest, lost) = guest.cut(rng.u64(..)).await?;
        let line = match guest.ready().await {
            Ok(line) => line,
            Err(why) => {
                println!("power cut {number} of {count}: the machine did not boot: {why}");
                faults += 1.0;
                break;
            }
        };
        let mut wrong = Vec::new();
        for ((chore, acknowledged), last) in Chore::ALL.iter().zip(acknowledged).zip(&mut last) {
            match chore.check(&line, acknowledged).await {
                Ok(seen) => *last = seen,
                Err(why) => {
                    wrong.push(why.to_string());
                    // Continue from the visible state, or all later checks would fail.
                    *last = acknowledged + 1;
                }
            }
        }
        wrong.extend(not_whole(&line).await);
        println!(
            "power cut {number} of {count}, after {} ms of work: {acknowledged:?} acknowledged, \
             {lost} sectors lost",
            moment.as_millis()
        );
        wrong.iter().for_each(|wrong| println!("  {wrong}"));
        faults += f64::from(u8::from(!wrong.is_empty()));
    }
    let done = vec![Figure::new(
        "power cuts after which something was wrong",
        faults,
        0.0,
        0,
    )];
    if faults > 0.0 {
        println!("evidence: {}", guest.evidence.folder().display());
    } else {
        guest.end().await?;
    }
    Ok(done)
}

/// Works until the power cut. If the work ends earlier, the machine has failed.
async fn work(guest: &Guest, done: &[AtomicU64; Chore::ALL.len()], moment: Duration) -> Result<()> {
    let mut chores = Vec::new();
    for (chore, done) in Chore::ALL.into_iter().zip(done) {
        chores.push(chore.repeat(guest.line().await?, done));
    }
    let careless = guest.line().await?;
    let work = async { tokio::try_join!(try_join_all(chores), careless.ask(CARELESS)) };
    // The power cut happens at this time, so this sleep is intended.
    match tokio::time::timeout(moment, guest.machine.fail_fast(work)).await {
        Err(_moment) => Ok(()),
        Ok(Err(error)) => Err(guest.failed(error)),
        Ok(Ok(_)) => Err(guest.failed("the work ended before the power cut")),
    }
}

async fn not_whole(line: &Line) -> Vec<String> {
    let mut wrong = Vec::new();
    for (question, wanted) in WHOLE {
        match line.ask(question).await {
            Ok(answer) if answer == wanted => {}
            Ok(answer) => wrong.push(format!("`{question}` printed {answer:?}")),
            Err(why) => wrong.push(why.to_string()),
        }
    }
    wrong
}

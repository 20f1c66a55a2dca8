//! The carrier of a network interface as the machine sees it.

use base::wait::{Poll, wait_until};

use super::deadline::Deadline;
use super::failure::StepFailure;
use super::session::Session;

/// The carrier down count of an interface.
pub(crate) async fn drops(
    interface: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<u64, StepFailure> {
    let text = read(interface, "carrier_down_count", session, deadline).await?;
    text.parse().map_err(|_| {
        StepFailure::new(format!("cannot read the carrier down count of {interface}"))
            .with("seen", text)
    })
}

/// Waits until the carrier is up again and its down count differs from `before`, which proves that the machine
/// noticed the loss.
pub(crate) async fn came_back(
    interface: &str,
    before: u64,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let what = format!("the loss and return of the carrier of {interface}");
    let held = wait_until(&what, deadline.left(), async || {
        let look = async {
            let carrier = read(interface, "carrier", session, deadline).await?;
            Ok::<_, StepFailure>((carrier, drops(interface, session, deadline).await?))
        };
        match look.await {
            Ok((carrier, now)) if carrier == "1" && now != before => Poll::Ready(()),
            Ok((carrier, now)) => Poll::NotYet(format!(
                "carrier {carrier}, down count {now}, {before} before"
            )),
            Err(failure) => {
                session.forget();
                Poll::NotYet(failure.what)
            }
        }
    });
    Ok(held.await?)
}

/// Reads a file of the interface in sysfs.
pub(crate) async fn read(
    interface: &str,
    file: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<String, StepFailure> {
    let command = format!("cat /sys/class/net/{interface}/{file}");
    let text = session.as_root(&command, deadline).await?;
    Ok(text.trim().to_owned())
}

//! What the machine sees of the cable of an interface.

use base::wait::{Poll, wait_until};
use machine::MachineError;

use super::super::super::deadline::Deadline;
use super::super::super::fault::Fault;
use super::super::super::session::Session;

/// How often the machine has seen the carrier go.
pub(in crate::trial) async fn drops(
    interface: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<u64, Fault> {
    let text = read(interface, "carrier_down_count", session, deadline).await?;
    text.parse()
        .map_err(|_| Fault::new(format!("{interface} has no carrier to count")).with("seen", text))
}

/// Waits until the machine has seen that the carrier went, which was `before` times so far, and that
/// it is there again.
pub(in crate::trial) async fn came_back(
    interface: &str,
    before: u64,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let what = format!("{interface} down and up again, as the machine sees it,");
    let held = wait_until(&what, deadline.left(), async || {
        let look = async {
            let carrier = read(interface, "carrier", session, deadline).await?;
            Ok::<_, Fault>((carrier, drops(interface, session, deadline).await?))
        };
        match look.await {
            Ok((carrier, now)) if carrier == "1" && now != before => Poll::Ready(()),
            Ok((carrier, now)) => Poll::NotYet(format!(
                "carrier {carrier}, gone {now} times, {before} before"
            )),
            Err(fault) => {
                session.forget();
                Poll::NotYet(fault.what)
            }
        }
    });
    held.await.map_err(|error| MachineError::from(error).into())
}

/// A file of the interface.
pub(super) async fn read(
    interface: &str,
    file: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<String, Fault> {
    let command = format!("cat /sys/class/net/{interface}/{file}");
    let text = session.as_root(&command, deadline).await?;
    Ok(text.trim().to_owned())
}

//! Network faults: a link that is down, delayed packets, lost packets.

use machine::Disturbance;
use scenario::step::{Link, NetworkStep};

use crate::session::{ActiveFault, Deadline, Session, StepFailure, carrier};

pub(super) async fn perform(
    step: &NetworkStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let interface = step.interface();
    let on_interface = |fault: &ActiveFault| match fault {
        ActiveFault::Link { interface: of, .. } | ActiveFault::Packets { interface: of, .. } => {
            of == interface
        }
        _ => false,
    };
    session.revert(on_interface, deadline).await?;
    if step.link == Some(Link::Down) {
        pull(interface, session, deadline).await?;
    }
    if step.delay.is_some() || step.loss.is_some() {
        disturb(step, session, deadline).await?;
    }
    if let Some(span) = step.lasting {
        // The duration is part of the scenario.
        tokio::time::sleep(span.0).await;
        session.revert(on_interface, deadline).await?;
    }
    Ok(())
}

async fn pull(
    interface: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let network = network_of(interface, session, deadline).await?;
    let drops = carrier::drops(interface, session, deadline).await?;
    session.machine.set_link(&network, false).await?;
    session.add_fault(ActiveFault::Link {
        interface: interface.into(),
        network,
        drops,
    });
    Ok(())
}

async fn disturb(
    step: &NetworkStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let interface = step.interface();
    let network = network_of(interface, session, deadline).await?;
    let disturbance = Disturbance {
        delay: step.delay.map(|span| span.0).unwrap_or_default(),
        loss: step.loss.unwrap_or(0),
    };
    let relay = session
        .machine
        .disturb_packets(&network, disturbance)
        .await?;
    session.add_fault(ActiveFault::Packets {
        interface: interface.into(),
        relay,
    });
    Ok(())
}

/// The QEMU network behind an interface, found by its hardware address, because the guest chooses its name.
async fn network_of(
    interface: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<String, StepFailure> {
    let address = carrier::read(interface, "address", session, deadline).await?;
    Ok(session.machine.network_of(&address).await?)
}

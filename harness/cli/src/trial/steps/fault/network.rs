//! A network that is down, slow or lossy.

use machine::Disturbance;
use scenario::{Link, NetworkStep};

use super::super::super::broken::Breakage;
use super::super::super::deadline::Deadline;
use super::super::super::fault::Fault;
use super::super::super::session::Session;
use super::carrier;

pub(super) async fn perform(
    step: &NetworkStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let interface = step.interface();
    let of_this = |one: &Breakage| match one {
        Breakage::Link { interface: of, .. } | Breakage::Packets { interface: of, .. } => {
            of == interface
        }
        _ => false,
    };
    session.mend(of_this, deadline).await?;
    if step.link == Some(Link::Down) {
        pull(interface, session, deadline).await?;
    }
    if step.delay.is_some() || step.loss.is_some() {
        disturb(step, session, deadline).await?;
    }
    if let Some(span) = step.lasting {
        super::last(span).await;
        session.mend(of_this, deadline).await?;
    }
    Ok(())
}

async fn pull(
    interface: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let network = network_of(interface, session, deadline).await?;
    let drops = carrier::drops(interface, session, deadline).await?;
    session.machine.set_link(&network, false).await?;
    session.broke(Breakage::Link {
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
) -> Result<(), Fault> {
    let interface = step.interface();
    let network = network_of(interface, session, deadline).await?;
    let disturbance = Disturbance {
        delay: step.delay.map(|span| span.0).unwrap_or_default(),
        loss: step.loss.unwrap_or(0),
    };
    let relay = session.machine.disturb(&network, disturbance).await?;
    session.broke(Breakage::Packets {
        interface: interface.into(),
        relay,
    });
    Ok(())
}

/// The interface is found by its hardware address: what it is called is the machine's affair.
async fn network_of(
    interface: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<String, Fault> {
    let address = carrier::read(interface, "address", session, deadline).await?;
    Ok(session.machine.network_of(&address).await?)
}

//! Waits until a machine is ready.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::description::RANCHEROS;
use crate::error::MachineError;
use crate::guest::boot_events::Events;
use base::wait::{Poll, WaitError, wait_until};

/// Timeout of an SSH banner. QEMU accepts a connection before any program listens in the guest.
const BANNER_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits for the last event if the guest sends events, else for the SSH banner.
///
/// `sends_events`: the guest is known to send events, from an earlier boot or from its checkpoint.
pub(crate) async fn wait(
    events: &Events,
    sends_events: bool,
    port: u16,
    limit: Duration,
) -> Result<(), MachineError> {
    if sends_events {
        return events.wait(RANCHEROS.last_stage, limit).await.map(drop);
    }
    tokio::select! {
        event = events.wait(RANCHEROS.last_stage, limit) => event.map(drop),
        banner = wait_banner(events, port, limit) => banner,
    }
}

/// Never returns if the guest sends events: they are more precise.
async fn wait_banner(events: &Events, port: u16, limit: Duration) -> Result<(), MachineError> {
    let look = async || look(events, port).await;
    match wait_until("an SSH banner", limit, look).await {
        Err(WaitError::Failed { .. }) => std::future::pending().await,
        ended => Ok(ended?),
    }
}

async fn look(events: &Events, port: u16) -> Poll<()> {
    if events.any() {
        return Poll::Failed("this guest sends boot events".into());
    }
    match tokio::time::timeout(BANNER_TIMEOUT, banner(port)).await {
        Ok(Ok(prefix)) if &prefix == b"SSH-" && !events.any() => Poll::Ready(()),
        Ok(Ok(prefix)) => Poll::NotYet(format!("{:?}", String::from_utf8_lossy(&prefix))),
        Ok(Err(error)) => Poll::NotYet(error.to_string()),
        Err(_) => Poll::NotYet("connected, but no SSH banner".into()),
    }
}

async fn banner(port: u16) -> std::io::Result<[u8; 4]> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    Ok(prefix)
}

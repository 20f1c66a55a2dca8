//! When a machine is ready.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::MachineError;
use super::events::Events;
use base::wait::{Poll, WaitError, wait_until};

/// The stage that ends a good boot.
const LAST: &str = "started";
/// For an SSH server's first word. QEMU accepts a connection before anybody listens in the guest.
const BANNER_PATIENCE: Duration = Duration::from_secs(1);

/// The last event of a guest that sends events, the SSH banner of one that never did.
///
/// `tells`: the guest is known to be one that does, from a boot before, perhaps that of another machine.
pub(super) async fn wait(
    events: &Events,
    tells: bool,
    port: u16,
    limit: Duration,
) -> Result<(), MachineError> {
    if tells {
        return events.wait(LAST, limit).await.map(drop);
    }
    tokio::select! {
        event = events.wait(LAST, limit) => event.map(drop),
        banner = first_word(events, port, limit) => banner,
    }
}

/// For a guest that sends events this never ends: they say more.
async fn first_word(events: &Events, port: u16, limit: Duration) -> Result<(), MachineError> {
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
    match tokio::time::timeout(BANNER_PATIENCE, banner(port)).await {
        Ok(Ok(word)) if &word == b"SSH-" && !events.any() => Poll::Ready(()),
        Ok(Ok(word)) => Poll::NotYet(format!("{:?}", String::from_utf8_lossy(&word))),
        Ok(Err(error)) => Poll::NotYet(error.to_string()),
        Err(_) => Poll::NotYet("connected, but nothing was said".into()),
    }
}

async fn banner(port: u16) -> std::io::Result<[u8; 4]> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut word = [0; 4];
    stream.read_exact(&mut word).await?;
    Ok(word)
}

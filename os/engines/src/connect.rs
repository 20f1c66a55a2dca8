//! Connections to an engine's API.

use std::path::Path;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};

/// The interval between two attempts.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// The timeout of one request in seconds; loading images takes longest.
const REQUEST_TIMEOUT: u64 = 600;

/// Runs a future to its end.
///
/// # Errors
/// The timeout expires first.
pub async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(timeout, work)
        .await
        .map_err(|_| format!("timed out after {} s", timeout.as_secs()))
}

/// Waits until an engine answers on its socket, and connects to it.
///
/// # Errors
/// The timeout expires first.
pub async fn connect(socket: &str, timeout: Duration) -> Result<Docker, String> {
    let connected = within(timeout, async {
        loop {
            if Path::new(socket).exists()
                && let Ok(docker) = try_connect(socket).await
            {
                return docker;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    });
    let seconds = timeout.as_secs();
    connected
        .await
        .map_err(|_| format!("timed out after {seconds} s waiting for Docker on {socket}"))
}

async fn try_connect(socket: &str) -> Result<Docker, Error> {
    let docker = Docker::connect_with_unix(socket, REQUEST_TIMEOUT, API_DEFAULT_VERSION)?;
    // Not a request for the version: the engine runs runc and docker-init to answer it.
    docker.ping().await?;
    Ok(docker)
}

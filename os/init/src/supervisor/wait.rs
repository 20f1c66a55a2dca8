//! Waiting for what the machine's services show when they work. Every wait has a bound.

use std::path::Path;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

/// How often a condition is looked at that nobody tells about.
const LOOK: Duration = Duration::from_millis(25);

/// How long one request to an engine may take, in seconds: loading images is one.
const REQUEST_LIMIT: u64 = 600;

/// Runs `work` to its end, or until `limit`.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| format!("it is not done after {} s", limit.as_secs()))
}

/// Waits for an engine to answer.
pub async fn for_docker(socket: &str, limit: Duration) -> Result<Docker, String> {
    let answered = within(limit, async {
        loop {
            for_file(socket).await;
            if let Ok(docker) = connect(socket).await {
                return docker;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    answered
        .await
        .map_err(|_| format!("no Docker answers on {socket} after {} s", limit.as_secs()))
}

async fn connect(socket: &str) -> Result<Docker, bollard::errors::Error> {
    let docker = Docker::connect_with_unix(socket, REQUEST_LIMIT, API_DEFAULT_VERSION)?;
    // Not its version: to tell it, the engine runs runc and its own init.
    docker.ping().await?;
    Ok(docker)
}

/// Waits for what a service's `ready` label names.
pub async fn for_ready(kind: &str, what: &str, limit: Duration) -> Result<(), String> {
    match kind {
        "docker" => for_docker(what, limit).await.map(drop),
        "tcp" => within(limit, for_listener(what))
            .await
            .map_err(|_| format!("nothing listens on port {what} after {} s", limit.as_secs()))?,
        other => Err(format!(
            "io.rancher.os.ready: `{other}:` is neither `docker:` nor `tcp:`"
        )),
    }
}

async fn for_listener(port: &str) -> Result<(), String> {
    let port: u16 = port
        .parse()
        .map_err(|_| format!("`{port}` is not a port"))?;
    loop {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        if tables
            .iter()
            .any(|table| listens(&std::fs::read_to_string(table).unwrap_or_default(), port))
        {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a table of sockets (proc_pid_net(5)) has one that listens (state 0A) on a port.
fn listens(table: &str, port: u16) -> bool {
    let ending = format!(":{port:04X}");
    table.lines().any(
        |line| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [_, local, _, "0A", ..] => local.ends_with(&ending),
            _ => false,
        },
    )
}

async fn for_file(path: &str) {
    while !Path::new(path).exists() {
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st\n\
            0: 00000000:0016 00000000:0000 0A 00000000:00000000\n\
            1: 0100007F:1F90 0100007F:0016 01 00000000:00000000\n";
        assert!(listens(table, 22));
        assert!(!listens(table, 8080));
    }
}

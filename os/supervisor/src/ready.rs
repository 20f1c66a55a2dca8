//! Waiting until a service is ready.

use std::time::Duration;

use engines::{connect, within};

/// The interval between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Waits for the condition of a service's `ready` label.
pub(crate) async fn wait(kind: &str, value: &str, timeout: Duration) -> Result<(), String> {
    match kind {
        "docker" => connect(value, timeout).await.map(drop),
        "tcp" => within(timeout, listener(value)).await.map_err(|_| {
            let seconds = timeout.as_secs();
            format!("timed out after {seconds} s waiting for a listener on port {value}")
        })?,
        other => Err(format!(
            "io.rancher.os.ready: unknown kind `{other}:`; hint: use `docker:` or `tcp:`"
        )),
    }
}

async fn listener(port: &str) -> Result<(), String> {
    let port: u16 = port
        .parse()
        .map_err(|_| format!("`{port}` is not a port"))?;
    loop {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        if tables
            .iter()
            .any(|table| has_listener(&std::fs::read_to_string(table).unwrap_or_default(), port))
        {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Whether a table of sockets (proc_pid_net(5)) has one that listens (state 0A) on a port.
fn has_listener(table: &str, port: u16) -> bool {
    let ending = format!(":{port:04X}");
    table.lines().any(
        |line| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [_, local, _, "0A", ..] => local.ends_with(&ending),
            _ => false,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_listener_ignores_connections() {
        let table = "  sl  local_address rem_address   st\n\
            0: 00000000:0016 00000000:0000 0A 00000000:00000000\n\
            1: 0100007F:1F90 0100007F:0016 01 00000000:00000000\n";
        assert!(has_listener(table, 22));
        assert!(!has_listener(table, 8080));
    }
}

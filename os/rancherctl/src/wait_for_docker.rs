//! `wait-for-docker`: waits for the user's Docker, for use in scripts.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use clap::Parser;

/// The timeout of one request to the engine, in seconds.
const REQUEST_TIMEOUT: u64 = 10;

/// The interval between two requests.
const INTERVAL: Duration = Duration::from_millis(250);

/// Waits until the user's Docker answers.
#[derive(Debug, Parser)]
#[command(name = "wait-for-docker", version)]
struct Wait {
    /// The timeout, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u32,
}

/// Runs the command if this process is called `wait-for-docker`.
pub(crate) fn run_as(name: &str) -> Option<Result<(), String>> {
    (name == "wait-for-docker").then(|| wait(Wait::parse().timeout, config::USER_DOCKER))
}

fn wait(seconds: u32, socket: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let mut last_error = "no request was sent".to_owned();
    let answered = runtime.block_on(async {
        let requests = async {
            while let Err(error) = ping(socket).await {
                last_error = error.to_string();
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(seconds.into()), requests).await
    });
    answered.map_err(|_| {
        format!(
            "timed out after {seconds} s waiting for the user's Docker on {socket}; last error: \
             {last_error}; hint: see `sudo system-docker logs userdocker`"
        )
    })
}

async fn ping(socket: &str) -> Result<(), bollard::errors::Error> {
    let docker = Docker::connect_with_unix(socket, REQUEST_TIMEOUT, API_DEFAULT_VERSION)?;
    docker.ping().await.map(drop)
}

#[cfg(test)]
mod tests {
    #[test]
    fn wait_times_out_and_names_the_socket() {
        let error = super::wait(0, "/no/such/socket").unwrap_err();
        assert!(
            error.starts_with("timed out after 0 s") && error.contains("/no/such/socket"),
            "{error}"
        );
    }
}

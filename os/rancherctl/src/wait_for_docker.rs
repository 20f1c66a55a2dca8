//! `wait-for-docker`: for scripts that need the user's Docker.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use clap::Parser;

/// How long one question to the engine may take, in seconds.
const ANSWER_LIMIT: u64 = 10;

/// How often it is asked.
const INTERVAL: Duration = Duration::from_millis(250);

/// Waits until the user's Docker answers.
#[derive(Debug, Parser)]
#[command(name = "wait-for-docker", version)]
struct Wait {
    /// How long to wait before it fails, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u32,
}

/// Does it if this process is called so.
pub fn called(name: &str) -> Option<Result<(), String>> {
    (name == "wait-for-docker").then(|| wait(Wait::parse().timeout, config::USER_DOCKER))
}

fn wait(seconds: u32, socket: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let mut last = "nobody was asked".to_owned();
    let answered = runtime.block_on(async {
        let limit = Duration::from_secs(seconds.into());
        let asked = async {
            while let Err(error) = ask(socket).await {
                last = error.to_string();
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::time::timeout(limit, asked).await
    });
    answered.map_err(|_| {
        format!(
            "the user's Docker does not answer on {socket} after {seconds} s: {last}; \
             hint: see `sudo system-docker logs userdocker`"
        )
    })
}

async fn ask(socket: &str) -> Result<(), bollard::errors::Error> {
    let docker = Docker::connect_with_unix(socket, ANSWER_LIMIT, API_DEFAULT_VERSION)?;
    docker.ping().await.map(drop)
}

#[cfg(test)]
mod tests {
    #[test]
    fn wait_fails_with_the_last_answer_when_time_is_up() {
        let why = super::wait(0, "/no/such/socket").unwrap_err();
        assert!(why.contains("/no/such/socket after 0 s"), "{why}");
    }
}

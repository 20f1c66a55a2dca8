//! Stops the system containers through system-docker.
//!
//! The user's engine stops the user's containers when it gets its own signal. They are not stopped one by
//! one, because an engine does not start containers at boot that were stopped by name, whichever restart
//! policy they have.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, StopContainerOptionsBuilder};
use engines::{connect, within};
use futures_util::future::join_all;

/// The timeout for system-docker to list the containers.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// The time that system-docker may take in addition to the timeout of its containers.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// Stops all of them at the same time; returns the errors.
pub(crate) fn stop(timeout: Duration) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime
            .block_on(stop_all(timeout))
            .unwrap_or_else(|error| vec![error]),
        Err(error) => vec![error.to_string()],
    }
}

async fn stop_all(timeout: Duration) -> Result<Vec<String>, String> {
    let docker = connect(config::SYSTEM_DOCKER, LIST_TIMEOUT).await?;
    let running = ListContainersOptionsBuilder::new().build();
    let running = within(LIST_TIMEOUT, docker.list_containers(Some(running)))
        .await?
        .map_err(|error| error.to_string())?;
    let ids = running.into_iter().filter_map(|container| container.id);
    let stopped = join_all(ids.map(|id| stop_one(&docker, id, timeout))).await;
    Ok(stopped.into_iter().filter_map(Result::err).collect())
}

async fn stop_one(docker: &Docker, id: String, timeout: Duration) -> Result<(), String> {
    let seconds = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::new().t(seconds).build();
    within(
        timeout + STOP_MARGIN,
        docker.stop_container(&id, Some(options)),
    )
    .await
    .and_then(|stopped| stopped.map_err(|error| error.to_string()))
    .map_err(|error| format!("container {id}: {error}"))
}

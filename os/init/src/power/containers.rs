//! Stops the containers through system-docker.
//!
//! Those of the user are stopped by their own engine when it is asked to end, not one by one: what was
//! stopped by name would not come back with the next boot, whatever its restart policy says.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, StopContainerOptionsBuilder};
use futures_util::future::join_all;

use crate::supervisor::wait::{for_docker, within};

/// How long system-docker may take to say what runs.
const ANSWER: Duration = Duration::from_secs(3);

/// How much longer than its containers it may take to stop them.
const MORE: Duration = Duration::from_secs(5);

/// Stops all of them at once; returns what went wrong.
pub fn stop(patience: Duration) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime
            .block_on(stop_all(patience))
            .unwrap_or_else(|error| vec![error]),
        Err(error) => vec![error.to_string()],
    }
}

async fn stop_all(patience: Duration) -> Result<Vec<String>, String> {
    let docker = for_docker(config::SYSTEM_DOCKER, ANSWER).await?;
    let running = ListContainersOptionsBuilder::new().build();
    let running = within(ANSWER, docker.list_containers(Some(running)))
        .await?
        .map_err(|error| error.to_string())?;
    let ids = running.into_iter().filter_map(|container| container.id);
    let stopped = join_all(ids.map(|id| stop_one(&docker, id, patience))).await;
    Ok(stopped.into_iter().filter_map(Result::err).collect())
}

async fn stop_one(docker: &Docker, id: String, patience: Duration) -> Result<(), String> {
    let seconds = i32::try_from(patience.as_secs()).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::new().t(seconds).build();
    within(patience + MORE, docker.stop_container(&id, Some(options)))
        .await
        .and_then(|stopped| stopped.map_err(|error| error.to_string()))
        .map_err(|error| format!("container {id}: {error}"))
}

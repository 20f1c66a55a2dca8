//! Containers that ran when the engine was restarted for a new subnet: they are started again. The engine
//! itself starts those with a restart policy.

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptions, StartContainerOptions};

use crate::report::warn;

/// The label of containers that a swarm starts.
const SWARM_LABEL: &str = "com.docker.swarm.task.id";

/// A list of container IDs, one per line.
const LIST: &str = "/run/user-docker.restart";

/// Saves the list of running containers, and returns their number.
///
/// # Errors
/// The engine does not answer, or the list cannot be written.
pub(crate) async fn save_running(docker: &Docker) -> Result<usize, String> {
    let running = docker.list_containers(None::<ListContainersOptions>).await;
    let running = running.map_err(|error| error.to_string())?;
    let own = running.into_iter().filter(|one| {
        let labels = one.labels.as_ref();
        labels.is_none_or(|labels| !labels.contains_key(SWARM_LABEL))
    });
    let ids: Vec<_> = own.filter_map(|one| one.id).collect();
    std::fs::write(LIST, ids.join("\n")).map_err(|error| format!("{LIST}: {error}"))?;
    Ok(ids.len())
}

/// Starts the containers of the list, if there is one, and removes it.
pub(crate) async fn start_saved(docker: &Docker) {
    let Ok(list) = std::fs::read_to_string(LIST) else {
        return;
    };
    for id in list.lines() {
        let started = docker.start_container(id, None::<StartContainerOptions>);
        match started.await {
            // The container may have been created with `--rm`.
            Ok(())
            | Err(Error::DockerResponseServerError {
                status_code: 304 | 404,
                ..
            }) => (),
            Err(error) => warn(&format!("container {id} did not start again: {error}")),
        }
    }
    let _ = std::fs::remove_file(LIST);
}

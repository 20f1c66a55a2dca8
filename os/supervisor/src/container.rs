//! The system containers, managed through the Docker API.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerSummary, HostConfig, HostConfigCgroupnsModeEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptions,
    WaitContainerOptions,
};
use config::Service;
use futures_util::StreamExt;
use shim::shared::{GROUP, GROUP_LABEL};

/// The label with the boot ID of the boot that created a system container.
const BOOT_LABEL: &str = "io.rancher.os.boot";

/// The containers of this boot.
pub(crate) struct Containers {
    docker: Docker,
    boot: String,
    /// Names of containers that exist since before this supervisor started.
    present: RefCell<BTreeSet<String>>,
}

impl Containers {
    /// Lists the containers of this boot, and removes those of earlier boots.
    pub(crate) async fn open(docker: Docker) -> Result<Self, String> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(|error| format!("boot_id: {error}"))?
            .trim()
            .to_owned();
        let filters = HashMap::from([("label", vec![BOOT_LABEL])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let all = docker
            .list_containers(Some(options))
            .await
            .map_err(|error| error.to_string())?;
        let (current, stale): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|one| label(one) == Some(boot.as_str()));
        for container in stale {
            let options = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            let id = container.id.unwrap_or_default();
            let removed = docker.remove_container(&id, Some(options)).await;
            removed.map_err(|error| format!("container {id} of an earlier boot: {error}"))?;
        }
        Ok(Self {
            docker,
            boot,
            present: current
                .iter()
                .filter_map(name)
                .collect::<BTreeSet<_>>()
                .into(),
        })
    }

    /// Creates a service's container, unless an earlier supervisor of this boot has created it.
    pub(crate) async fn create(&self, name: &str, service: &Service) -> Result<(), String> {
        if self.present.borrow().contains(name) {
            return Ok(());
        }
        self.create_new(name, service).await
    }

    async fn create_new(&self, name: &str, service: &Service) -> Result<(), String> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let created = self
            .docker
            .create_container(Some(options), body(service, &self.boot))
            .await;
        created.map(drop).map_err(|error| error.to_string())
    }

    /// Replaces a service's container by a new one.
    pub(crate) async fn recreate(&self, name: &str, service: &Service) -> Result<(), String> {
        self.remove(name).await?;
        self.create_new(name, service).await
    }

    /// Removes a container, running or not, if it exists.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), String> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        self.present.borrow_mut().remove(name);
        match self.docker.remove_container(name, Some(options)).await {
            Err(error) if !is_missing(&error) => Err(format!("container {name}: {error}")),
            _ => Ok(()),
        }
    }

    /// Starts a service's container, unless it runs.
    pub(crate) async fn start(&self, name: &str) -> Result<(), String> {
        let started = self
            .docker
            .start_container(name, None::<StartContainerOptions>)
            .await;
        started.map_err(|error| error.to_string())
    }

    /// Stops a container; the engine kills it if it does not exit in time.
    pub(crate) async fn stop(&self, name: &str) -> Result<(), String> {
        let stopped = self
            .docker
            .stop_container(name, None::<StopContainerOptions>);
        stopped.await.map_err(|error| error.to_string())
    }

    /// Whether a container runs.
    pub(crate) async fn is_running(&self, name: &str) -> bool {
        let seen = self
            .docker
            .inspect_container(name, None::<InspectContainerOptions>);
        let state = seen.await.ok().and_then(|seen| seen.state);
        state.and_then(|state| state.running) == Some(true)
    }

    /// Waits until a container exits; returns its exit status.
    pub(crate) async fn wait(&self, name: &str) -> Result<i64, String> {
        let mut answers = self
            .docker
            .wait_container(name, None::<WaitContainerOptions>);
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("system-docker closed the connection".into()),
        }
    }

    /// The last line of a container's log, if it has one.
    pub(crate) async fn last_log_line(&self, name: &str) -> Option<String> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail("1")
            .build();
        let line = self.docker.logs(name, Some(options)).next().await?.ok()?;
        let line = line.to_string().trim().to_owned();
        Some(line).filter(|line| !line.is_empty())
    }
}

/// Whether a service uses the shared shim. One that exits by itself does not: it could be the only one
/// for a moment, and the shim would exit with it while another service starts.
fn shares_shim(service: &Service) -> bool {
    service.detach()
}

fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

fn label(container: &ContainerSummary) -> Option<&str> {
    Some(container.labels.as_ref()?.get(BOOT_LABEL)?)
}

fn name(container: &ContainerSummary) -> Option<String> {
    Some(
        container
            .names
            .as_ref()?
            .first()?
            .trim_start_matches('/')
            .to_owned(),
    )
}

fn non_empty(list: &[String]) -> Option<Vec<String>> {
    Some(list.to_vec()).filter(|list| !list.is_empty())
}

/// The request to create a service's container.
fn body(service: &Service, boot: &str) -> ContainerCreateBody {
    let mut labels: BTreeMap<String, String> = service.labels.clone();
    labels.insert(BOOT_LABEL.into(), boot.into());
    let cgroups = if service.privileged {
        HostConfigCgroupnsModeEnum::HOST
    } else {
        HostConfigCgroupnsModeEnum::PRIVATE
    };
    ContainerCreateBody {
        image: Some(service.image.clone()),
        cmd: non_empty(&service.command),
        env: non_empty(&service.environment),
        labels: Some(labels.into_iter().collect()),
        host_config: Some(HostConfig {
            binds: non_empty(&service.volumes),
            volumes_from: non_empty(&service.volumes_from),
            privileged: Some(service.privileged),
            cap_add: non_empty(&service.cap_add),
            oom_score_adj: service.oom_score_adj,
            network_mode: Some(
                service
                    .network_mode
                    .clone()
                    .unwrap_or_else(|| "none".into()),
            ),
            pid_mode: service.pid.clone(),
            ipc_mode: service.ipc.clone(),
            uts_mode: service.uts.clone(),
            cgroupns_mode: Some(cgroups),
            annotations: shares_shim(service)
                .then(|| HashMap::from([(GROUP_LABEL.into(), GROUP.into())])),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_grants_only_what_the_service_asks_for() {
        let service = Service {
            image: "rancher/os-base:1".into(),
            volumes: vec!["/run:/run:shared".into()],
            ..Service::default()
        };
        let host = body(&service, "boot").host_config.unwrap();
        assert_eq!(host.binds.unwrap(), ["/run:/run:shared"]);
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.pid_mode, None);
        assert_eq!(host.annotations.unwrap()[GROUP_LABEL], "services");
    }

    #[test]
    fn body_has_no_shared_shim_when_the_service_exits_by_itself() {
        let labels = BTreeMap::from([("io.rancher.os.detach".into(), "false".into())]);
        let service = Service {
            labels,
            ..Service::default()
        };
        assert_eq!(
            body(&service, "boot").host_config.unwrap().annotations,
            None
        );
    }
}

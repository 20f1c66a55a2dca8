//! System containers through the Docker API.

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

use crate::shim;

/// The label that says which boot a system container belongs to.
const BOOT_LABEL: &str = "io.rancher.os.boot";

/// The containers of this boot.
pub struct Containers {
    docker: Docker,
    boot: String,
    /// Names that are there already: the supervisor was started again.
    present: RefCell<BTreeSet<String>>,
}

impl Containers {
    /// Removes the system containers of earlier boots.
    pub async fn open(docker: Docker) -> Result<Self, String> {
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
        let (here, stale): (Vec<_>, Vec<_>) = all
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
            present: here.iter().filter_map(name).collect::<BTreeSet<_>>().into(),
        })
    }

    /// Makes a service's container, unless this boot has made it.
    pub async fn create(&self, name: &str, service: &Service) -> Result<(), String> {
        if self.present.borrow().contains(name) {
            return Ok(());
        }
        self.make(name, service).await
    }

    async fn make(&self, name: &str, service: &Service) -> Result<(), String> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let created = self
            .docker
            .create_container(Some(options), body(service, &self.boot))
            .await;
        created.map(drop).map_err(|error| error.to_string())
    }

    /// Makes a service's container anew in the place of the one that is there, if one is.
    pub async fn renew(&self, name: &str, service: &Service) -> Result<(), String> {
        self.remove(name).await?;
        self.make(name, service).await
    }

    /// Removes a container, whether it runs or not; one that is not there is as good as removed.
    pub async fn remove(&self, name: &str) -> Result<(), String> {
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

    /// Starts a service's container; one that runs is left alone.
    pub async fn start(&self, name: &str) -> Result<(), String> {
        let started = self
            .docker
            .start_container(name, None::<StartContainerOptions>)
            .await;
        started.map_err(|error| error.to_string())
    }

    /// Asks a container to end, and kills it when it does not.
    pub async fn stop(&self, name: &str) -> Result<(), String> {
        let stopped = self
            .docker
            .stop_container(name, None::<StopContainerOptions>);
        stopped.await.map_err(|error| error.to_string())
    }

    /// Whether a container runs.
    pub async fn runs(&self, name: &str) -> bool {
        let seen = self
            .docker
            .inspect_container(name, None::<InspectContainerOptions>);
        let state = seen.await.ok().and_then(|seen| seen.state);
        state.and_then(|state| state.running) == Some(true)
    }

    /// Waits for a container's end; returns its status.
    pub async fn ended(&self, name: &str) -> Result<i64, String> {
        let mut answers = self
            .docker
            .wait_container(name, None::<WaitContainerOptions>);
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("system-docker does not say".into()),
        }
    }

    /// The last line that a container said, if it said any.
    pub async fn last_words(&self, name: &str) -> Option<String> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail("1")
            .build();
        let said = self.docker.logs(name, Some(options)).next().await?.ok()?;
        let line = said.to_string().trim().to_owned();
        Some(line).filter(|line| !line.is_empty())
    }
}

/// Whether a service shares its shim with the others: one that ends could be the last for a moment,
/// and take the shim with it while another starts.
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

/// A service in the words of the Docker API.
fn body(service: &Service, boot: &str) -> ContainerCreateBody {
    let some = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
    let mut labels: BTreeMap<String, String> = service.labels.clone();
    labels.insert(BOOT_LABEL.into(), boot.into());
    let cgroups = if service.privileged {
        HostConfigCgroupnsModeEnum::HOST
    } else {
        HostConfigCgroupnsModeEnum::PRIVATE
    };
    ContainerCreateBody {
        image: Some(service.image.clone()),
        cmd: some(&service.command),
        env: some(&service.environment),
        labels: Some(labels.into_iter().collect()),
        host_config: Some(HostConfig {
            binds: some(&service.volumes),
            volumes_from: some(&service.volumes_from),
            privileged: Some(service.privileged),
            cap_add: some(&service.cap_add),
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
                .then(|| HashMap::from([(shim::GROUP_LABEL.into(), shim::GROUP.into())])),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_asks_for_what_it_says_and_no_more() {
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
        assert_eq!(host.annotations.unwrap()[shim::GROUP_LABEL], "services");
    }

    #[test]
    fn a_service_that_ends_has_a_shim_of_its_own() {
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

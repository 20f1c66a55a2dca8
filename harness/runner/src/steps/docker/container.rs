//! Runs containers, and commands in running containers.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, HostConfig, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, WaitContainerOptions,
};
use futures_util::{Stream, StreamExt, TryStreamExt};

use machine::Output;
use scenario::PublishedPort;
use scenario::step::{DockerExec, DockerRun, Restart};

use super::within;
use crate::session::{Deadline, StepFailure};

/// Runs a container and returns its result; `None` if it is detached.
pub(super) async fn run(
    run: &DockerRun,
    docker: &Docker,
    deadline: &Deadline,
) -> Result<Option<Output>, StepFailure> {
    let name = CreateContainerOptions {
        name: run.name.clone(),
        ..Default::default()
    };
    let created = within(deadline, docker.create_container(Some(name), body(run))).await?;
    let started = within(
        deadline,
        docker.start_container(&created.id, None::<StartContainerOptions>),
    );
    if run.detach {
        started.await?;
        return Ok(None);
    }
    let ended = match started.await {
        Ok(()) => wait_for_exit(docker, &created.id, deadline).await,
        Err(failure) => Err(failure),
    };
    // Removed whatever the result: `ps` of the next step must not list it.
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    let removed = within(
        deadline,
        docker.remove_container(&created.id, Some(options)),
    )
    .await;
    let output = ended?;
    removed?;
    Ok(Some(output))
}

fn body(run: &DockerRun) -> ContainerCreateBody {
    let variables = run.environment.iter();
    let variables = variables.map(|(name, value)| format!("{name}={value}"));
    let exposed = run.ports.iter().map(|port| port.inside.clone());
    ContainerCreateBody {
        image: Some(run.image.clone()),
        cmd: Some(run.command.clone()),
        env: Some(variables.collect()),
        exposed_ports: Some(exposed.collect()),
        host_config: Some(HostConfig {
            privileged: Some(run.privileged),
            binds: Some(run.binds.clone()),
            port_bindings: Some(bindings(&run.ports)),
            restart_policy: Some(restart_policy(run.restart)),
            network_mode: run.network.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn bindings(ports: &[PublishedPort]) -> PortMap {
    let mut map = PortMap::new();
    for port in ports {
        let binding = PortBinding {
            host_ip: port.address.clone(),
            host_port: Some(port.outside.to_string()),
        };
        let bindings = map.entry(port.inside.clone()).or_default();
        bindings.get_or_insert_default().push(binding);
    }
    map
}

fn restart_policy(restart: Restart) -> RestartPolicy {
    use RestartPolicyNameEnum as Name;
    let name = match restart {
        Restart::No => Name::NO,
        Restart::Always => Name::ALWAYS,
        Restart::UnlessStopped => Name::UNLESS_STOPPED,
        Restart::OnFailure => Name::ON_FAILURE,
    };
    RestartPolicy {
        name: Some(name),
        maximum_retry_count: None,
    }
}

/// Waits until a container exits, and returns its result.
async fn wait_for_exit(
    docker: &Docker,
    id: &str,
    deadline: &Deadline,
) -> Result<Output, StepFailure> {
    let exit = within(deadline, exit_status(docker, id)).await?;
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .build();
    let (stdout, stderr) = within(deadline, collect(docker.logs(id, Some(options)))).await?;
    Ok(Output {
        exit: Some(exit),
        stdout,
        stderr,
        ..Output::default()
    })
}

async fn exit_status(docker: &Docker, id: &str) -> Result<i32, Error> {
    let mut waiting = docker.wait_container(id, None::<WaitContainerOptions>);
    let code = match waiting.next().await {
        Some(Ok(end)) => end.status_code,
        // bollard reports a non-zero exit status as an error; the scenario decides whether it is
        // one.
        Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => code,
        Some(Err(error)) => return Err(error),
        None => -1,
    };
    Ok(i32::try_from(code).unwrap_or(-1))
}

/// Runs a command in a container.
pub(super) async fn exec(
    exec: &DockerExec,
    docker: &Docker,
    deadline: &Deadline,
) -> Result<Output, StepFailure> {
    let options = CreateExecOptions {
        cmd: Some(exec.command.clone()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let made = within(deadline, docker.create_exec(&exec.container, options)).await?;
    let started = docker.start_exec(&made.id, None::<StartExecOptions>);
    let (stdout, stderr) = match within(deadline, started).await? {
        StartExecResults::Attached { output, .. } => within(deadline, collect(output)).await?,
        StartExecResults::Detached => (Vec::new(), Vec::new()),
    };
    let ended = within(deadline, docker.inspect_exec(&made.id)).await?;
    let exit = ended.exit_code.and_then(|code| i32::try_from(code).ok());
    Ok(Output {
        exit,
        stdout,
        stderr,
        ..Output::default()
    })
}

/// Collects stdout and stderr separately.
async fn collect(
    output: impl Stream<Item = Result<LogOutput, Error>>,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let append = |(mut stdout, mut stderr): (Vec<u8>, Vec<u8>), chunk| async move {
        match chunk {
            LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                stdout.extend_from_slice(&message);
            }
            LogOutput::StdIn { .. } => {}
        }
        Ok((stdout, stderr))
    };
    output.try_fold((Vec::new(), Vec::new()), append).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_all_settings_of_the_scenario() {
        let run: DockerRun = serde_yaml::from_str(
            "{image: tea, command: [brew], ports: ['8080:80', '127.0.0.1:5353:53/udp'], \
             environment: {CUP: large}, restart: unless-stopped, network: kitchen}",
        )
        .unwrap();
        let body = serde_json::to_value(body(&run)).unwrap();
        assert_eq!(body["Env"], serde_json::json!(["CUP=large"]));
        let host = &body["HostConfig"];
        assert_eq!(host["NetworkMode"], "kitchen");
        assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
        assert_eq!(host["PortBindings"]["80/tcp"][0]["HostPort"], "8080");
        assert_eq!(host["PortBindings"]["53/udp"][0]["HostIp"], "127.0.0.1");
    }
}

//! Requests to a Docker engine.

mod container;
mod import;
mod tls;

use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;

use scenario::Words;
use scenario::step::{DockerAction, DockerPs, DockerStep};

use crate::session::{Deadline, Session, StepFailure, Wanted, judge};
use crate::spec;

pub(super) async fn perform(
    step: &DockerStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let docker = match &step.tls {
        None => session.docker(spec::engine(step.engine), deadline).await?,
        Some(tls) if tls.refused => return tls::refused(tls, session, deadline).await,
        Some(tls) => tls::connect(tls, session, deadline).await?,
    };
    match step.action() {
        Some(DockerAction::Run(run)) => {
            let Some(output) = container::run(run, &docker, deadline).await? else {
                return Ok(());
            };
            let wanted = Wanted {
                exit: run.exit.unwrap_or(0),
                stdout: run.stdout.as_ref(),
                stderr: run.stderr.as_ref(),
            };
            judge::command(&run.command.join(" "), wanted, &output, session.snapshots)
        }
        Some(DockerAction::Exec(exec)) => {
            let output = container::exec(exec, &docker, deadline).await?;
            let wanted = Wanted {
                exit: exec.exit.unwrap_or(0),
                stdout: exec.stdout.as_ref(),
                stderr: exec.stderr.as_ref(),
            };
            judge::command(&exec.command.join(" "), wanted, &output, session.snapshots)
        }
        Some(DockerAction::Ps(ps)) => judge_ps(ps, &names(&docker, ps.all, deadline).await?),
        Some(DockerAction::Import(import)) => {
            let ssh = session.ssh(deadline).await?;
            import::perform(import, &ssh, &docker).await
        }
        None => Ok(()),
    }
}

/// The names of an engine's containers, sorted.
pub(super) async fn names(
    docker: &Docker,
    all: bool,
    deadline: &Deadline,
) -> Result<Vec<String>, StepFailure> {
    let options = ListContainersOptionsBuilder::default().all(all).build();
    let listed = within(deadline, docker.list_containers(Some(options))).await?;
    let all_names = listed
        .into_iter()
        .flat_map(|container| container.names.unwrap_or_default());
    let mut names: Vec<String> = all_names
        .map(|name| name.trim_start_matches('/').to_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// Waits for an answer of an engine until the deadline.
pub(super) async fn within<T>(
    deadline: &Deadline,
    answer: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, StepFailure> {
    match tokio::time::timeout(deadline.left(), answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => {
            let limit = deadline.limit().as_secs_f64();
            Err(StepFailure::new(format!(
                "timed out after {limit:.0} s waiting for docker"
            )))
        }
    }
}

fn judge_ps(ps: &DockerPs, names: &[String]) -> Result<(), StepFailure> {
    let words = |words: &Option<Words>| words.clone().unwrap_or_default().0;
    let missing = words(&ps.contains)
        .into_iter()
        .find(|name| !names.contains(name));
    let unexpected = words(&ps.lacks)
        .into_iter()
        .find(|name| names.contains(name));
    let message = match (missing, unexpected, ps.count) {
        (Some(name), ..) => format!("container {name} does not exist"),
        (None, Some(name), _) => format!("container {name} exists, expected it not to"),
        (None, None, Some(count)) if count != names.len() => {
            format!("found {} containers, expected {count}", names.len())
        }
        _ => return Ok(()),
    };
    Err(StepFailure::new(message).with("containers", names.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(yaml: &str) -> String {
        let names = ["console", "udev"].map(str::to_owned);
        judge_ps(&serde_yaml::from_str(yaml).unwrap(), &names)
            .map_or_else(|failure| failure.what, |()| "passed".into())
    }

    #[test]
    fn judge_ps_checks_names_and_count() {
        assert_eq!(
            verdict("{contains: [console, udev], lacks: ntp, count: 2}"),
            "passed"
        );
        assert_eq!(verdict("{contains: ntp}"), "container ntp does not exist");
        assert_eq!(
            verdict("{lacks: udev}"),
            "container udev exists, expected it not to"
        );
        assert_eq!(verdict("{count: 3}"), "found 2 containers, expected 3");
    }
}

//! `rancherctl service`: the system containers, by their names below `services`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command as Program, ExitCode};

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use clap::{Args, Subcommand};
use config::{Config, Service};

use crate::caller::must_be_root;
use crate::runtime::block_on;

/// The timeout of one request to system-docker, in seconds. A pull is one request.
const REQUEST_TIMEOUT: u64 = 3600;

/// `rancherctl service`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the services with their images and states
    Ps,
    /// Start services that are down, and restart those whose configuration has changed
    Up(Names),
    /// Stop services until the next boot, or until `up` starts them
    Down(Names),
    /// Restart services with the current configuration
    Restart(Names),
    /// Print the logs of services
    Logs(Logs),
    /// Pull the images of services; `restart` starts the new images
    Pull(Names),
}

/// Names of services.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names, as `ps` prints them
    #[arg(required = true)]
    names: Vec<String>,
}

/// The logs to print.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Print new lines as they arrive; requires a single name
    #[arg(short, long)]
    follow: bool,
    /// Print only this number of lines from the end
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// Names, as `ps` prints them
    #[arg(required = true)]
    names: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// A message to print.
pub(crate) fn run(command: &Command) -> Result<ExitCode, String> {
    let config = config::load_machine().config;
    let services = config.effective_services();
    match command {
        Command::Ps => ps(&services)?,
        Command::Up(names) => request("up", &names.names, &services)?,
        Command::Down(names) => request("down", &names.names, &services)?,
        Command::Restart(names) => request("restart", &names.names, &services)?,
        Command::Logs(what) => return logs(what, &services),
        Command::Pull(names) => pull(&config, &names.names, &services)?,
    }
    Ok(ExitCode::SUCCESS)
}

type Services = BTreeMap<String, Service>;

/// Checks all names before any service is changed.
fn must_be_known(names: &[String], services: &Services) -> Result<(), String> {
    let Some(name) = names.iter().find(|name| !services.contains_key(*name)) else {
        return Ok(());
    };
    let known: Vec<_> = services.keys().map(String::as_str).collect();
    Err(match config::nearest(name, &known) {
        Some(near) => format!("unknown service `{name}`; hint: did you mean `{near}`?"),
        None => format!(
            "unknown service `{name}`; hint: use one of {}",
            known.join(", ")
        ),
    })
}

/// Sends a request to the supervisor.
fn request(action: &str, names: &[String], services: &Services) -> Result<(), String> {
    must_be_root()?;
    must_be_known(names, services)?;
    let line = format!("{action} {}\n", names.join(" "));
    let answer = exchange(&line).map_err(|error| {
        format!(
            "{}: {error}; hint: wait until the boot has finished",
            config::SUPERVISOR_SOCKET
        )
    })?;
    match answer.trim_end() {
        "" => Ok(()),
        problems => Err(problems.into()),
    }
}

/// Sends a line to the supervisor and returns its answer.
fn exchange(line: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(config::SUPERVISOR_SOCKET)?;
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn ps(services: &Services) -> Result<(), String> {
    let containers = block_on(async {
        let docker = system_docker()?;
        let all = ListContainersOptionsBuilder::new().all(true).build();
        let all = docker.list_containers(Some(all)).await;
        all.map_err(|error| format!("system-docker: {error}"))
    })?;
    print!("{}", table(services, &containers));
    Ok(())
}

/// A table with a line for each service.
fn table(services: &Services, containers: &[ContainerSummary]) -> String {
    let rows: Vec<_> = std::iter::once(("NAME", "IMAGE", "STATUS"))
        .chain(services.iter().map(|(name, service)| {
            let status = status(name, service, containers);
            (name.as_str(), service.image.as_str(), status)
        }))
        .collect();
    let width = |of: fn(&(&str, &str, &str)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (name, image) = (width(|row| row.0.len()), width(|row| row.1.len()));
    let line = |row: &(&str, &str, &str)| format!("{:name$}  {:image$}  {}\n", row.0, row.1, row.2);
    rows.iter().map(line).collect()
}

fn status<'a>(name: &str, service: &Service, containers: &'a [ContainerSummary]) -> &'a str {
    let path = format!("/{name}");
    let has = |one: &&ContainerSummary| one.names.iter().flatten().any(|one| *one == path);
    let found = containers.iter().find(has);
    match found.and_then(|one| one.status.as_deref()) {
        Some("Created") if service.create_only() => "volumes only",
        Some(status) => status,
        None if service.disabled => "disabled",
        None => "down",
    }
}

fn logs(what: &Logs, services: &Services) -> Result<ExitCode, String> {
    must_be_known(&what.names, services)?;
    if what.follow && what.names.len() > 1 {
        return Err("`--follow` takes one name".into());
    }
    for name in &what.names {
        let mut docker = Program::new("docker");
        docker
            .arg("--host")
            .arg(format!("unix://{}", config::SYSTEM_DOCKER));
        docker.arg("logs");
        if what.follow {
            docker.arg("--follow");
        }
        if let Some(lines) = what.tail {
            docker.arg(format!("--tail={lines}"));
        }
        let status = docker.arg(name).status();
        let status = status.map_err(|error| format!("docker: {error}"))?;
        if !status.success() {
            // Docker has printed the error.
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn pull(config: &Config, names: &[String], services: &Services) -> Result<(), String> {
    must_be_root()?;
    must_be_known(names, services)?;
    block_on(async {
        let docker = system_docker()?;
        engines::update_registries(&docker, config).await?;
        for image in names.iter().map(|name| &services[name].image) {
            engines::pull(&docker, &config.registries, image).await?;
        }
        Ok(())
    })
}

fn system_docker() -> Result<Docker, String> {
    let docker =
        Docker::connect_with_unix(config::SYSTEM_DOCKER, REQUEST_TIMEOUT, API_DEFAULT_VERSION);
    docker.map_err(|error| format!("system-docker: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Services {
        config::from_cmdline("rancher.services.ntp.disabled=true")
            .config
            .effective_services()
    }

    #[test]
    fn table_shows_the_state_of_each_service() {
        let container = |name: &str, status: &str| ContainerSummary {
            names: Some(vec![format!("/{name}")]),
            status: Some(status.into()),
            ..ContainerSummary::default()
        };
        let containers = [
            container("console", "Up 2 minutes"),
            container("user-volumes", "Created"),
        ];
        let table = table(&services(), &containers);
        let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("console").ends_with("Up 2 minutes"));
        assert!(line("user-volumes").ends_with("volumes only"));
        assert!(line("ntp").ends_with("disabled"));
        assert!(line("syslog").ends_with("down"));
    }

    #[test]
    fn unknown_service_error_suggests_the_nearest_name() {
        let error = must_be_known(&["consle".into()], &services()).unwrap_err();
        assert!(error.ends_with("did you mean `console`?"), "{error}");
    }
}

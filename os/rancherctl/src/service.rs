//! `rancherctl service`: the system containers, by the names that they have under `services`.

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

/// How long one request to system-docker may take, in seconds: a pull is one.
const REQUEST_LIMIT: u64 = 3600;

/// What to do about services.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the services: their images, and whether they run
    Ps,
    /// Start services that do not run, and start anew those whose configuration changed
    Up(Names),
    /// End services until the next boot, or until they are asked for with `up`
    Down(Names),
    /// End services and start them with the configuration as it is now
    Restart(Names),
    /// Print what services said
    Logs(Logs),
    /// Pull the images of services; `restart` starts what was pulled
    Pull(Names),
}

/// Which services.
#[derive(Debug, Args)]
pub struct Names {
    /// Names, as `ps` prints them
    #[arg(required = true)]
    names: Vec<String>,
}

/// What to print of what services said.
#[derive(Debug, Args)]
pub struct Logs {
    /// Go on printing; with one name
    #[arg(short, long)]
    follow: bool,
    /// So many of the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// Names, as `ps` prints them
    #[arg(required = true)]
    names: Vec<String>,
}

/// Does it.
///
/// # Errors
/// Told as they are to be printed.
pub fn run(command: &Command) -> Result<ExitCode, String> {
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

/// Before anything is done, so that a misspelt name changes nothing.
fn must_be_known(names: &[String], services: &Services) -> Result<(), String> {
    let known: Vec<_> = services.keys().map(String::as_str).collect();
    match names.iter().find(|name| !services.contains_key(*name)) {
        Some(name) => Err(match config::nearest(name, &known) {
            Some(near) => format!("there is no service `{name}`; did you mean `{near}`?"),
            None => format!(
                "there is no service `{name}`; there are {}",
                known.join(", ")
            ),
        }),
        None => Ok(()),
    }
}

/// Has the supervisor do it: it watches over the services.
fn request(action: &str, names: &[String], services: &Services) -> Result<(), String> {
    must_be_root()?;
    must_be_known(names, services)?;
    let told = |error: std::io::Error| {
        format!(
            "{}: {error}; hint: wait for the end of the boot",
            config::SUPERVISOR_SOCKET
        )
    };
    let mut stream = UnixStream::connect(config::SUPERVISOR_SOCKET).map_err(told)?;
    let line = format!("{action} {}\n", names.join(" "));
    stream.write_all(line.as_bytes()).map_err(told)?;
    let mut problems = String::new();
    stream.read_to_string(&mut problems).map_err(told)?;
    match problems.trim_end() {
        "" => Ok(()),
        problems => Err(problems.into()),
    }
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

/// A line for each service, in columns.
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
        Some("Created") if service.create_only() => "for its volumes",
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
            // It said why.
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
        Docker::connect_with_unix(config::SYSTEM_DOCKER, REQUEST_LIMIT, API_DEFAULT_VERSION);
    docker.map_err(|error| format!("system-docker: {error}"))
}

fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(work)
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
    fn services_are_listed_with_what_they_do() {
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
        assert!(line("user-volumes").ends_with("for its volumes"));
        assert!(line("ntp").ends_with("disabled"));
        assert!(line("syslog").ends_with("down"));
    }

    #[test]
    fn misspelt_name_is_told_with_the_nearest_one() {
        let told = must_be_known(&["consle".into()], &services()).unwrap_err();
        assert!(told.ends_with("did you mean `console`?"), "{told}");
    }
}

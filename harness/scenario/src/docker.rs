//! Docker steps as scenario files contain them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::value::{TextExpectation, Words};

/// A Docker engine of the OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// system-docker, PID 1.
    System,
    /// The engine for the user's containers.
    User,
}

/// A request to a Docker engine: one of `run`, `ps`, `exec` and `import`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerStep {
    /// The engine.
    pub engine: EngineName,
    /// Connects over the network with TLS, instead of the engine's socket.
    pub tls: Option<DockerTls>,
    /// Runs a container.
    pub run: Option<DockerRun>,
    /// Checks the list of containers.
    pub ps: Option<DockerPs>,
    /// Runs a command in a container.
    pub exec: Option<DockerExec>,
    /// Creates an image from files of the machine.
    pub import: Option<DockerImport>,
}

/// The TLS connection to an engine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerTls {
    /// The folder on the machine with the client's `ca.pem`, `cert.pem` and `key.pem`.
    pub certificates: String,
    /// The port of the engine.
    #[serde(default = "docker_port")]
    pub port: u16,
    /// The TLS handshake must fail: client or engine refuses the other's certificate.
    #[serde(default)]
    pub refused: bool,
}

/// The default of Docker's own clients.
fn docker_port() -> u16 {
    2376
}

/// What a Docker step does, after the lint found exactly one kind.
#[derive(Debug, Clone, Copy)]
pub enum DockerAction<'a> {
    /// See [`DockerRun`].
    Run(&'a DockerRun),
    /// See [`DockerPs`].
    Ps(&'a DockerPs),
    /// See [`DockerExec`].
    Exec(&'a DockerExec),
    /// See [`DockerImport`].
    Import(&'a DockerImport),
}

/// Runs a container until it exits and removes it, or leaves it running with `detach`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerRun {
    /// The image, which must be on the machine already.
    pub image: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The name of the container; Docker generates one by default.
    pub name: Option<String>,
    /// Runs the container privileged.
    #[serde(default)]
    pub privileged: bool,
    /// Bind mounts in Docker's syntax (`/from:/to:ro`).
    #[serde(default)]
    pub binds: Vec<String>,
    /// Published ports in Docker's syntax (`8080:80`, `127.0.0.1:5353:53/udp`).
    #[serde(default)]
    pub ports: Vec<PublishedPort>,
    /// Environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The restart policy; the default is `no`.
    #[serde(default)]
    pub restart: Restart,
    /// `bridge` (the default), `host`, `none`, `container:NAME` or the name of a network.
    pub network: Option<String>,
    /// Leaves the container running and continues with the next step.
    #[serde(default)]
    pub detach: bool,
    /// The expected exit status; the default is 0.
    pub exit: Option<i64>,
    /// The expected standard output.
    pub stdout: Option<TextExpectation>,
    /// The expected standard error.
    pub stderr: Option<TextExpectation>,
}

/// The restart policy of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// After every exit, and when the engine starts.
    Always,
    /// Like `always`, unless the container was stopped.
    UnlessStopped,
    /// After an exit with a status other than 0.
    OnFailure,
}

/// A port of the machine that is forwarded to a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublishedPort {
    /// The address of the machine; `None` for all of them.
    pub address: Option<String>,
    /// The port of the machine.
    pub outside: u16,
    /// The port of the container with its protocol (`80/tcp`).
    pub inside: String,
}

impl TryFrom<String> for PublishedPort {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parsed = || {
            let (ports, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
            let (outside, inside) = ports.rsplit_once(':')?;
            let (address, outside) = match outside.rsplit_once(':') {
                Some((address, outside)) => (Some(address.to_owned()), outside),
                None => (None, outside),
            };
            let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
            let known = ["tcp", "udp", "sctp"].contains(&protocol);
            Some(Self {
                address,
                outside: port(outside)?,
                inside: format!("{}/{protocol}", port(inside)?),
            })
            .filter(|_| known)
        };
        parsed().ok_or_else(|| {
            format!("`{text}` is not a published port; write `8080:80` or `127.0.0.1:5353:53/udp`")
        })
    }
}

impl JsonSchema for PublishedPort {
    fn schema_name() -> Cow<'static, str> {
        "PublishedPort".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A port of the machine and a port of the container: 8080:80, 127.0.0.1:5353:53/udp.",
            "pattern": "^(.+:)?[0-9]+:[0-9]+(/(tcp|udp|sctp))?$",
        })
    }
}

/// Checks the containers of the engine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerPs {
    /// Includes containers that do not run.
    #[serde(default)]
    pub all: bool,
    /// Names that must be listed.
    pub contains: Option<Words>,
    /// Names that must not be listed.
    pub lacks: Option<Words>,
    /// The number of containers.
    pub count: Option<usize>,
}

/// Runs a command in a running container.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerExec {
    /// The container's name.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The expected exit status; the default is 0.
    pub exit: Option<i64>,
    /// The expected standard output.
    pub stdout: Option<TextExpectation>,
    /// The expected standard error.
    pub stderr: Option<TextExpectation>,
}

/// Creates an image of one layer from files of the machine. A file named `busybox` gets the usual links
/// (`sh`, `echo`, ...).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerImport {
    /// The name of the image.
    pub image: String,
    /// Files of the machine, at the same path in the image.
    pub files: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_port_parses_the_syntax_of_docker() {
        let read = |text: &str| PublishedPort::try_from(text.to_owned());
        let port = |address: Option<&str>, outside, inside: &str| PublishedPort {
            address: address.map(str::to_owned),
            outside,
            inside: inside.into(),
        };
        assert_eq!(read("8080:80"), Ok(port(None, 8080, "80/tcp")));
        let dns = port(Some("127.0.0.1"), 5353, "53/udp");
        assert_eq!(read("127.0.0.1:5353:53/udp"), Ok(dns));
        for wrong in ["80", "0:80", "8080:http", "1:2/icmp", "70000:80"] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("write `8080:80`"), "{error}");
        }
    }
}

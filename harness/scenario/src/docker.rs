//! Steps that ask something of a Docker engine, as people write them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::value::{TextExpectation, Words};

/// Which Docker engine of the OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// system-docker, PID 1.
    System,
    /// The user's.
    User,
}

/// Something asked of a Docker engine: one of `run`, `ps`, `exec` and `import`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerStep {
    /// Which engine.
    pub engine: EngineName,
    /// As from another computer, over the network with TLS, instead of the engine's socket.
    pub tls: Option<DockerTls>,
    /// Runs a container.
    pub run: Option<DockerRun>,
    /// Looks at the containers.
    pub ps: Option<DockerPs>,
    /// Runs a command in a container.
    pub exec: Option<DockerExec>,
    /// Makes an image out of files of the machine (which reaches no registry).
    pub import: Option<DockerImport>,
}

/// How an engine is asked over the network.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerTls {
    /// The folder of the machine that has the client's `ca.pem`, `cert.pem` and `key.pem`.
    pub certificates: String,
    /// The engine's port; 2376 unless told.
    #[serde(default = "docker_port")]
    pub port: u16,
    /// One of the two must not accept what the other one shows.
    #[serde(default)]
    pub refused: bool,
}

/// What Docker's own clients take where nobody names a port.
fn docker_port() -> u16 {
    2376
}

/// What a Docker step does, once it is known to do one thing.
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

/// Runs a container to its end and removes it, or leaves it running with `detach`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerRun {
    /// The image; on the machine already.
    pub image: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// What the container is called; Docker thinks of a name otherwise.
    pub name: Option<String>,
    /// All rights of the host.
    #[serde(default)]
    pub privileged: bool,
    /// Folders of the host inside, as Docker writes them (`/from:/to:ro`).
    #[serde(default)]
    pub binds: Vec<String>,
    /// Ports of the machine that lead into the container, as Docker writes them
    /// (`8080:80`, `127.0.0.1:5353:53/udp`).
    #[serde(default)]
    pub ports: Vec<PublishedPort>,
    /// Variables of its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Whether the engine starts it again when it ends; `no` unless told.
    #[serde(default)]
    pub restart: Restart,
    /// The network: `bridge` unless told, `host`, `none`, `container:NAME` or one that was made.
    pub network: Option<String>,
    /// Leave it running and go on.
    #[serde(default)]
    pub detach: bool,
    /// The exit status that is wanted; 0 unless told.
    pub exit: Option<i64>,
    /// What must be on standard output.
    pub stdout: Option<TextExpectation>,
    /// What must be on standard error.
    pub stderr: Option<TextExpectation>,
}

/// Whether an engine starts a container again when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// Whatever ended it, and when the engine starts.
    Always,
    /// The same, but for one that somebody stopped.
    UnlessStopped,
    /// When its exit status is not 0.
    OnFailure,
}

/// A port of the machine that leads into a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublishedPort {
    /// The address of the machine; all where there is none.
    pub address: Option<String>,
    /// The port of the machine.
    pub outside: u16,
    /// That of the container, with its protocol (`80/tcp`).
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
            format!("`{text}` is no published port; write `8080:80` or `127.0.0.1:5353:53/udp`")
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
            "description": "A port of the machine and one of the container: 8080:80, 127.0.0.1:5353:53/udp.",
            "pattern": "^(.+:)?[0-9]+:[0-9]+(/(tcp|udp|sctp))?$",
        })
    }
}

/// What the engine's containers must be.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerPs {
    /// Also those that do not run.
    #[serde(default)]
    pub all: bool,
    /// Names that are there.
    pub contains: Option<Words>,
    /// Names that are not.
    pub lacks: Option<Words>,
    /// How many there are.
    pub count: Option<usize>,
}

/// Runs a command in a container that runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerExec {
    /// The container's name.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The exit status that is wanted; 0 unless told.
    pub exit: Option<i64>,
    /// What must be on standard output.
    pub stdout: Option<TextExpectation>,
    /// What must be on standard error.
    pub stderr: Option<TextExpectation>,
}

/// Makes an image of one layer out of files of the machine. A `busybox` among them gets the links
/// it is usually called by (`sh`, `echo`, ...).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerImport {
    /// What the image is called.
    pub image: String,
    /// Files of the machine, at the same path in the image.
    pub files: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_port_is_read_as_docker_writes_it() {
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

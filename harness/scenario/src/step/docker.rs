//! Requests to a Docker engine.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::expectation::{self, TextExpectation};
use super::super::published_port::PublishedPort;
use super::super::value::{EngineName, Words};
use super::StepKind;
use super::text::short;

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

impl DockerStep {
    fn kinds(&self) -> [(&'static str, Option<DockerAction<'_>>); 4] {
        [
            ("run", self.run.as_ref().map(DockerAction::Run)),
            ("ps", self.ps.as_ref().map(DockerAction::Ps)),
            ("exec", self.exec.as_ref().map(DockerAction::Exec)),
            ("import", self.import.as_ref().map(DockerAction::Import)),
        ]
    }

    /// What the step does; `None` only for a step that the lint refused.
    pub fn action(&self) -> Option<DockerAction<'_>> {
        self.kinds().into_iter().find_map(|(_, kind)| kind)
    }
}

impl StepKind for DockerStep {
    fn title(&self) -> String {
        let engine = match self.engine {
            EngineName::System => "system-docker",
            EngineName::User => "docker",
        };
        let engine = match &self.tls {
            None => engine.to_owned(),
            Some(_) => format!("{engine} over TLS"),
        };
        match self.action() {
            Some(DockerAction::Run(run)) => {
                format!(
                    "{engine}: run {} {}",
                    run.image,
                    short(&run.command.join(" "))
                )
            }
            Some(DockerAction::Ps(_)) => format!("{engine}: ps"),
            Some(DockerAction::Exec(exec)) => {
                format!(
                    "{engine}: exec {} {}",
                    exec.container,
                    short(&exec.command.join(" "))
                )
            }
            Some(DockerAction::Import(import)) => format!("{engine}: import {}", import.image),
            None => engine,
        }
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(90)
    }

    fn needs_login(&self) -> bool {
        true
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        if let Some(tls) = &self.tls {
            lint.absolute(&tls.certificates, &format!("{path}.tls.certificates"));
        }
        match lint.one(self.kinds(), path, "a docker step") {
            Some(DockerAction::Run(action)) => run(lint, action, &format!("{path}.run")),
            Some(DockerAction::Ps(action)) => ps(lint, action, &format!("{path}.ps")),
            Some(DockerAction::Exec(action)) => {
                let path = format!("{path}.exec");
                command(lint, &action.command, &path);
                expectation::exit(lint, action.exit, &format!("{path}.exit"));
                expectation::text(lint, action.stdout.as_ref(), &format!("{path}.stdout"));
                expectation::text(lint, action.stderr.as_ref(), &format!("{path}.stderr"));
            }
            Some(DockerAction::Import(action)) => import(lint, action, &format!("{path}.import")),
            None => {}
        }
    }

    fn is_query(&self) -> bool {
        self.ps.is_some() || self.exec.is_some()
    }
}

fn run(lint: &mut Lint<'_>, run: &DockerRun, path: &str) {
    command(lint, &run.command, path);
    expectation::exit(lint, run.exit, &format!("{path}.exit"));
    let expectations = [
        ("exit", run.exit.is_some()),
        ("stdout", run.stdout.is_some()),
        ("stderr", run.stderr.is_some()),
    ];
    for (key, given) in expectations {
        let message = format!("`{key}` cannot be combined with `detach`");
        let hint = "remove one of the two";
        lint.refuse(
            given && run.detach,
            &format!("{path}.{key}"),
            &message,
            hint,
        );
    }
    let nameless = run.detach && run.name.is_none();
    let message = "a detached container needs a name";
    lint.refuse(nameless, &format!("{path}.detach"), message, "add `name`");
    expectation::text(lint, run.stdout.as_ref(), &format!("{path}.stdout"));
    expectation::text(lint, run.stderr.as_ref(), &format!("{path}.stderr"));
}

fn command(lint: &mut Lint<'_>, command: &[String], path: &str) {
    if command.is_empty() {
        lint.value(
            &format!("{path}.command"),
            "the command is empty",
            "write [program, ...]",
        );
    }
}

fn ps(lint: &mut Lint<'_>, ps: &DockerPs, path: &str) {
    if ps.contains.is_none() && ps.lacks.is_none() && ps.count.is_none() {
        lint.key(
            path,
            "this step checks nothing",
            "write `contains`, `lacks` or `count`",
        );
    }
    expectation::not_empty(lint, ps.contains.as_ref(), &format!("{path}.contains"));
    expectation::not_empty(lint, ps.lacks.as_ref(), &format!("{path}.lacks"));
    let (Some(contains), Some(lacks)) = (&ps.contains, &ps.lacks) else {
        return;
    };
    if let Some(both) = contains.0.iter().find(|name| lacks.0.contains(name)) {
        let message = format!("`{both}` is in `contains` and in `lacks`");
        lint.key(&format!("{path}.lacks"), message, "remove one of the two");
    }
}

fn import(lint: &mut Lint<'_>, import: &DockerImport, path: &str) {
    if import.files.is_empty() {
        lint.value(
            &format!("{path}.files"),
            "the image has no files",
            "list files of the machine, e.g. `[/bin/busybox]`",
        );
    }
    for (number, file) in import.files.iter().enumerate() {
        if !file.starts_with('/') {
            let path = format!("{path}.files[{number}]");
            lint.value(&path, "not an absolute path", format!("write `/{file}`"));
        }
    }
}

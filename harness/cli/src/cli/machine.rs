//! Commands for the interactive machine, the build and the host.

use std::process::ExitCode;

use harness::artifacts::{self, Given};
use harness::doctor::{self, Finding, State};
use harness::project::Project;
use harness::{exit, interactive, terminal};
use machine::MachineError;
use machine::profile::Profile;
use yaml::closest;

use super::Refusal;
use super::options::RunOptions;

/// `harness build`.
pub(super) fn build(project: &Project) -> Result<ExitCode, Refusal> {
    let built = artifacts::build(project).map_err(Refusal::infrastructure)?;
    super::print(&format!(
        "{}\n{}\n",
        built.kernel.display(),
        built.initrd.display()
    ));
    Ok(exit::OK.into())
}

/// `harness run`.
pub(super) fn run(project: &Project, options: RunOptions) -> Result<ExitCode, Refusal> {
    let last = options.port.checked_add(u16::from(options.machines) - 1);
    if last.is_none() {
        let (port, machines) = (options.port, options.machines);
        return Err(Refusal::usage(format!(
            "{machines} machines need as many ports from {port}, and the last port is {}; \
             hint: use a lower --port",
            u16::MAX
        )));
    }
    let profile = profile(project, &options.profile)?;
    let config = options.cloud_config.as_ref();
    if let Some(missing) = config.filter(|file| !file.is_file()) {
        return Err(Refusal::usage(format!(
            "file {} does not exist",
            missing.display()
        )));
    }
    // Before a build of several minutes whose result cannot be booted.
    profile.check_host().map_err(Refusal::infrastructure)?;
    let artifacts = artifacts::obtain(project, &options.given).map_err(Refusal::infrastructure)?;
    let profile = profile
        .resolve(&artifacts.kernel)
        .map_err(Refusal::infrastructure)?;
    ended(interactive::run(interactive::RunOptions {
        profile,
        artifacts,
        machines: options.machines,
        fresh: options.fresh,
        port: options.port,
        memory: options.memory,
        append: options.append,
        cloud_config: options.cloud_config,
        background: options.background,
        state_folder: project.state_folder(),
    }))
}

fn profile(project: &Project, name: &str) -> Result<Profile, Refusal> {
    let profiles = project.profiles().map_err(Refusal::usage)?;
    if let Some(found) = profiles.iter().find(|profile| profile.name == name) {
        return Ok(found.clone());
    }
    let names: Vec<&str> = profiles
        .iter()
        .map(|profile| profile.name.as_str())
        .collect();
    let hint = closest(name, names.iter().copied())
        .map(|near| format!("; hint: did you mean `{near}`?"))
        .unwrap_or_default();
    let all = names.join(", ");
    Err(Refusal::usage(format!(
        "unknown profile `{name}`{hint}\nprofiles: {all}"
    )))
}

/// `harness ssh`.
pub(super) fn ssh(
    project: &Project,
    machine: Option<&str>,
    command: Vec<String>,
) -> Result<ExitCode, Refusal> {
    ended(interactive::ssh(&project.state_folder(), machine, command))
}

/// `harness stop`.
pub(super) fn stop(project: &Project) -> Result<ExitCode, Refusal> {
    ended(interactive::stop(&project.state_folder()))
}

fn ended(result: Result<ExitCode, MachineError>) -> Result<ExitCode, Refusal> {
    result.map_err(Refusal::infrastructure)
}

/// `harness doctor`.
pub(super) fn doctor(project: &Project, given: &Given) -> Result<ExitCode, Refusal> {
    let given = given.artifacts().map_err(Refusal::infrastructure)?;
    let built = project.root().join("dist/artifacts/vmlinuz");
    let kernel = given
        .map(|given| given.kernel)
        .or_else(|| built.is_file().then_some(built));
    let findings = doctor::examine(kernel.as_deref());
    let colour = terminal::colour(&std::io::stdout());
    let mut text: String = findings
        .iter()
        .map(|finding| line(finding, colour))
        .collect();
    if kernel.is_none() {
        text += "hint: to prove KVM, run `harness build`, then `harness doctor` again\n";
    }
    super::print(&text);
    let missing = findings
        .iter()
        .any(|finding| finding.state == State::Missing);
    Ok(if missing {
        exit::INFRASTRUCTURE
    } else {
        exit::OK
    }
    .into())
}

fn line(finding: &Finding, colour: bool) -> String {
    let (word, paint) = match finding.state {
        State::Good => ("good    ", 32),
        State::Degraded => ("degraded", 33),
        State::Missing => ("missing ", 31),
    };
    let word = if colour {
        format!("\x1b[{paint}m{word}\x1b[0m")
    } else {
        word.to_owned()
    };
    let hint = finding
        .hint
        .as_ref()
        .map(|hint| format!("\n{:10}{hint}", ""))
        .unwrap_or_default();
    format!("{word}  {}: {}{hint}\n", finding.subject, finding.seen)
}

//! What the cloud told this machine.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use cloud_init::{Problem, Status};

/// What is wanted of it.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// What was heard in this boot, from whom, and what is wrong with it
    Status,
    /// Check user-data, and do nothing with it; exit status 1 where something is wrong
    Validate {
        /// The file; standard input without one
        file: Option<PathBuf>,
    },
    /// Ask now, and do what is said
    Run {
        /// In this order, e.g. `file:/home/rancher/user-data`; those of the configuration without
        #[arg(value_name = "DATASOURCE")]
        datasources: Vec<String>,
    },
}

/// Does it.
pub fn run(action: &Action) -> Result<ExitCode, String> {
    match action {
        Action::Status => show(&Status::read()),
        Action::Validate { file } => validate(file.as_ref()),
        Action::Run { datasources } => ask(datasources),
    }
}

fn show(status: &Status) -> Result<ExitCode, String> {
    let text = serde_yaml::to_string(status).map_err(|error| error.to_string())?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn validate(file: Option<&PathBuf>) -> Result<ExitCode, String> {
    let (name, bytes) = match file {
        Some(file) => (file.display().to_string(), std::fs::read(file)),
        None => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            ("standard input".into(), read.map(|_| bytes))
        }
    };
    let bytes = bytes.map_err(|error| format!("{name}: {error}"))?;
    let problems: Vec<Problem> = cloud_init::check(&bytes);
    for problem in &problems {
        eprintln!("{name}: {problem}");
    }
    Ok(match problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn ask(datasources: &[String]) -> Result<ExitCode, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("only root may do this; try it with `sudo`".into());
    }
    show(&cloud_init::run(datasources)?)
}

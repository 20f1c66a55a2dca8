//! `rancherctl cloud-init`.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use cloud_init::{Problem, Status};

/// `rancherctl cloud-init`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Show which datasource answered in this boot, the results, and errors in its data
    Status,
    /// Check user-data without applying it; the exit status is 1 if there are errors
    Validate {
        /// The file [default: standard input]
        file: Option<PathBuf>,
    },
    /// Query datasources now and apply the answer
    Run {
        /// Datasources in order, e.g. `file:/home/rancher/user-data` [default: those in the configuration]
        #[arg(value_name = "DATASOURCE")]
        datasources: Vec<String>,
    },
}

/// Runs the command.
pub(crate) fn run(action: &Action) -> Result<ExitCode, String> {
    match action {
        Action::Status => show(&Status::read()),
        Action::Validate { file } => validate(file.as_ref()),
        Action::Run { datasources } => query(datasources),
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
    if problems.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

fn query(datasources: &[String]) -> Result<ExitCode, String> {
    crate::caller::must_be_root()?;
    show(&cloud_init::run(datasources)?)
}

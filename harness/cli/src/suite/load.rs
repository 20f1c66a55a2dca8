//! Reads the scenarios and profiles of a project.

use std::process::ExitCode;

use crate::exit;
use crate::project::Project;
use crate::terminal::colour;
use machine::profile::Profile;
use runner::trial::Trial;
use scenario::Scenario;
use yaml::{SourceError, render_all};

use super::matrix::{self, On};

/// Reads all profiles and scenarios, and prints their errors and warnings.
pub(crate) fn load(project: &Project) -> Result<(Vec<Profile>, Vec<Scenario>), ExitCode> {
    let print_found = |found: &[SourceError]| {
        if !found.is_empty() {
            eprintln!("{}\n", render_all(found, colour(&std::io::stderr())));
        }
    };
    let loaded = project.load().map_err(|errors| {
        print_found(&errors);
        let errors = count(errors.len());
        eprintln!("{errors} in scenarios or profiles; nothing was booted");
        ExitCode::from(exit::FAILED)
    })?;
    print_found(&scenario::warnings(&loaded.1));
    Ok(loaded)
}

/// All trials of a tree on all profiles that they may run on, sorted by name.
///
/// # Errors
/// All errors in its scenarios and profiles.
pub fn trials(project: &Project) -> Result<Vec<Trial>, Vec<SourceError>> {
    let (profiles, scenarios) = project.load()?;
    Ok(matrix::all(project, profiles, scenarios, &On::All))
}

fn count(errors: usize) -> String {
    if errors == 1 {
        "1 error".into()
    } else {
        format!("{errors} errors")
    }
}

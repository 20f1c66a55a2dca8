//! Commands that run, prove, check and list scenarios.

use std::process::ExitCode;

use libtest_mimic::Arguments;

use harness::project::Project;
use harness::{exit, prove, suite, terminal};
use machine::profile::{self, Profile};
use scenario::Scenario;
use yaml::{SourceError, render_all};

use super::Refusal;
use super::options::{ProveOptions, TestOptions};

/// `harness test`.
pub(super) fn test(project: &Project, options: TestOptions) -> ExitCode {
    let streams = options.options.output.outputs().takes_stdout();
    if options.accept {
        runner::accept_snapshots();
    }
    let arguments = Arguments {
        filter: options.filter,
        test_threads: options.jobs.threads(),
        include_ignored: options.include_ignored,
        // If the event stream goes to stdout, it is the only output there; steps are printed on stderr.
        logfile: streams.then(|| "/dev/null".into()),
        ..Arguments::default()
    };
    let mut run = options.options;
    run.part.verbose |= options.jobs.is_one() || streams;
    run.live = true;
    suite::run(project, &arguments, &run)
}

/// `harness prove`.
pub(super) fn prove(project: &Project, options: ProveOptions) -> ExitCode {
    let arguments = Arguments {
        filter: options.filter,
        list: options.list,
        test_threads: options.jobs.threads(),
        ..Arguments::default()
    };
    let mut run = options.options;
    run.part.verbose |= options.jobs.is_one();
    prove::run(project, &arguments, &run)
}

/// `harness check`.
pub(super) fn check(project: &Project) -> ExitCode {
    match project.load() {
        Ok((profiles, scenarios)) => {
            let warnings = scenario::warnings(&scenarios);
            if !warnings.is_empty() {
                print_errors(&warnings);
            }
            let (scenarios, profiles) = (scenarios.len(), profiles.len());
            let summary = match warnings.len() {
                0 => String::new(),
                1 => ", 1 warning".into(),
                more => format!(", {more} warnings"),
            };
            super::print(&format!(
                "{scenarios} scenarios and {profiles} profiles are valid{summary}\n"
            ));
            exit::OK.into()
        }
        Err(errors) => wrong(&errors),
    }
}

pub(super) fn wrong(errors: &[SourceError]) -> ExitCode {
    print_errors(errors);
    exit::FAILED.into()
}

fn print_errors(found: &[SourceError]) {
    eprintln!(
        "{}",
        render_all(found, terminal::colour(&std::io::stderr()))
    );
}

/// `harness list`.
pub(super) fn list(project: &Project) -> ExitCode {
    let (profiles, scenarios) = match project.load() {
        Ok(loaded) => loaded,
        Err(errors) => return wrong(&errors),
    };
    let width = scenarios
        .iter()
        .map(|scenario| scenario.name.len())
        .max()
        .unwrap_or_default();
    let line = |s: &Scenario| {
        let mut profiles = s.profiles.join(", ");
        if !s.more_profiles.is_empty() {
            profiles += &format!("; on request: {}", s.more_profiles.join(", "));
        }
        if s.nightly {
            profiles += "; nightly";
        }
        format!("{:width$}  {}  ({profiles})\n", s.name, s.about.trim())
    };
    let scenarios: String = scenarios.iter().map(line).collect();
    let profiles: String = profiles.iter().map(profile_line).collect();
    super::print(&format!("{scenarios}\n{profiles}"));
    exit::OK.into()
}

/// Describes a profile and whether this host can run it.
fn profile_line(profile: &Profile) -> String {
    let state = match profile.check_host() {
        Ok(()) => "this host can run it".into(),
        Err(why) => format!("{}; {}", why.why, why.hint),
    };
    let about = profile.about.trim().trim_end_matches('.');
    format!("profile {}: {about} ({state})\n", profile.name)
}

/// `harness schema`.
pub(super) fn schema(project: &Project, write: bool) -> Result<ExitCode, Refusal> {
    let files = [
        (
            project.scenarios_folder().join("schema.json"),
            scenario::schema(),
        ),
        (
            project.scenarios_folder().join("setups/schema.json"),
            scenario::schema_of_setups(),
        ),
        (
            project.profiles_folder().join("schema.json"),
            profile::schema::text(),
        ),
    ];
    for (file, text) in files {
        if write {
            let failed = |error| format!("cannot write the schema {}: {error}", file.display());
            std::fs::write(&file, &text)
                .map_err(failed)
                .map_err(Refusal::infrastructure)?;
        } else {
            super::print(&text);
        }
    }
    if write {
        write_step_table(project).map_err(Refusal::infrastructure)?;
    }
    Ok(exit::OK.into())
}

/// Updates the tables of steps in `scenarios/README.md`.
fn write_step_table(project: &Project) -> Result<(), String> {
    let file = project.scenarios_folder().join("README.md");
    let failed = |error| format!("cannot update {}: {error}", file.display());
    let readme = std::fs::read_to_string(&file).map_err(failed)?;
    let Some(text) = scenario::with_step_table(&readme) else {
        return Err(format!(
            "{} has no markers for the tables of steps",
            file.display()
        ));
    };
    std::fs::write(&file, text).map_err(failed)
}

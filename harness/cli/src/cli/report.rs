//! The commands `report` and `ladder`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use events::BootTimeline;
use harness::exit;
use harness::project::Project;
use report::history::{BASELINE_BOOTS, PastBoot, comparable, median_time};
use report::{History, Outputs, RunLog};

use super::Refusal;

/// `harness report`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The event stream of the run
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The path of the HTML report
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Also write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// `harness report`.
pub(super) fn report(project: &Project, options: Options) -> Result<ExitCode, Refusal> {
    let run_log = RunLog::read(&options.from).map_err(Refusal::usage)?;
    if run_log.events.is_empty() {
        let file = options.from.display();
        return Err(Refusal::usage(format!("{file} has no events")));
    }
    let history = History::new(&project.history_folder());
    let outputs = Outputs {
        report: Some(options.output),
        junit: options.junit,
        ..Outputs::default()
    };
    let written = outputs.write(&run_log, &history);
    written.map_err(Refusal::infrastructure)?;
    Ok(exit::OK.into())
}

/// `harness ladder`.
pub(super) fn timeline(project: &Project, only: Option<&str>) -> Result<ExitCode, Refusal> {
    let boots = History::new(&project.history_folder()).boots();
    let kinds: BTreeSet<_> = boots
        .iter()
        .map(|boot| (&*boot.timeline.profile, &*boot.timeline.accelerator))
        .filter(|(profile, _)| only.is_none_or(|only| only == *profile))
        .collect();
    if kinds.is_empty() {
        let on = only.map(|only| format!(" on the profile `{only}`"));
        let on = on.unwrap_or_default();
        return Err(Refusal::usage(format!("no boots{on} are recorded yet")));
    }
    for (profile, accelerator) in kinds {
        let last = boots.iter().rev().map(|boot| &boot.timeline);
        let mut last = last.filter(|l| l.profile == profile && l.accelerator == accelerator);
        if let Some(last) = last.next() {
            super::print(&table(last, &comparable(&boots, last)));
        }
    }
    Ok(exit::OK.into())
}

fn table(last: &BootTimeline, boots: &[&PastBoot]) -> String {
    let number = boots.len().min(BASELINE_BOOTS);
    let (profile, accelerator) = (&last.profile, &last.accelerator);
    let mut text = format!(
        "{profile} ({accelerator})\n  {:<18}{:>9}{:>16}{:>9}\n",
        "stage",
        "last",
        format!("median of {number}"),
        "budget"
    );
    for stage in &last.stages {
        let figure =
            |seconds: Option<f64>| seconds.map(|s| format!("{s:.1} s")).unwrap_or_default();
        let late = if stage.is_late() { "  over budget" } else { "" };
        let line = format!(
            "  {:<18}{:>9}{:>16}{:>9}{late}",
            stage.stage,
            figure(Some(stage.seconds)),
            figure(median_time(boots, &stage.stage)),
            figure(stage.budget),
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

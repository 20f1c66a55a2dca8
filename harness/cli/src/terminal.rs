//! Output to the terminal: colours, progress and log messages.

use std::io::IsTerminal;

use events::Baseline;
use indicatif::MultiProgress;
use report::{ProgressReporter, TextReporter};

/// Whether the output is an interactive terminal in which lines can be redrawn.
pub fn is_live() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
    terminal && !dumb && !set("CI")
}

/// Whether to colour the output to `stream`: it is a terminal, and `NO_COLOR` is not set.
pub fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A reporter that prints each step of each trial on stderr.
pub fn lines() -> TextReporter {
    TextReporter::new(stderr(), colour(&std::io::stderr()))
}

/// A reporter that shows the progress of a run, if the terminal is interactive.
pub fn live(baseline: Baseline) -> Option<ProgressReporter> {
    is_live().then(|| {
        let colour = colour(&std::io::stderr());
        ProgressReporter::new(MultiProgress::new(), stderr(), baseline, colour)
    })
}

/// A sink that prints lines on stderr.
pub fn stderr() -> report::LineSink {
    std::sync::Arc::new(|line| eprintln!("{line}"))
}

/// Prints the log messages of the harness's crates, warnings and notes, on stderr.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, about: &log::Metadata<'_>) -> bool {
        let target = about.target().split("::").next().unwrap_or_default();
        about.level() <= log::Level::Info && OURS.contains(&target)
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match record.level() {
            log::Level::Error | log::Level::Warn => eprintln!("warning: {}", record.args()),
            _ => eprintln!("note: {}", record.args()),
        }
    }

    fn flush(&self) {}
}

/// The crates whose log messages are shown to users.
const OURS: [&str; 9] = [
    "base", "events", "harness", "host", "machine", "report", "runner", "scenario", "yaml",
];

/// Installs the logger, once per process.
pub fn print_logs() {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}

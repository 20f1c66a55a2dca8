//! A build as it is shown: one moving line on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use images::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// How often the line moves although nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// Shows a build on stderr. What was kept from before is not worth a line.
pub(super) struct Shown {
    bar: Option<ProgressBar>,
    begin: Instant,
}

impl Shown {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            begin: Instant::now(),
        }
    }

    pub(super) fn tell(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Started(step) => self.begins(step),
            Progress::Cached(_) => {}
            Progress::Finished(step) => {
                let took = self.begin.elapsed().as_secs_f64();
                self.line(&format!("build: {step}, done ({took:.1} s)"));
            }
        }
    }

    fn begins(&mut self, step: &str) {
        self.begin = Instant::now();
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(format!("build: {step}"));
                bar.set_message("");
                bar.enable_steady_tick(TICK);
            }
            None => eprintln!("build: {step}"),
        }
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

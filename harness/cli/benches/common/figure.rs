//! Figures and their bounds.

use std::fmt;
use std::process::ExitCode;

use harness::exit;

/// A measured value and its upper bound.
pub(crate) struct Figure {
    name: &'static str,
    /// The value, or why it could not be measured.
    value: std::result::Result<f64, String>,
    bound: f64,
    decimals: usize,
}

impl Figure {
    /// A figure with the number of decimals to print.
    pub(crate) fn new(name: &'static str, value: f64, bound: f64, decimals: usize) -> Self {
        Self {
            name,
            value: Ok(value),
            bound,
            decimals,
        }
    }

    /// A figure that could not be measured.
    pub(crate) fn missing(name: &'static str, why: impl fmt::Display, bound: f64) -> Self {
        Self {
            name,
            value: Err(why.to_string()),
            bound,
            decimals: 0,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            bound,
            decimals,
        } = self;
        match value {
            Ok(value) => write!(f, "{name}: {value:.decimals$} (bound {bound})"),
            Err(why) => write!(f, "{name}: not measured (bound {bound}): {why}"),
        }
    }
}

/// Prints the figures at the end of the output, and returns a status that reports whether one exceeds its
/// bound.
pub(crate) fn verdict(figures: &[Figure]) -> ExitCode {
    println!();
    figures.iter().for_each(|figure| println!("{figure}"));
    let over = |figure: &Figure| figure.value.as_ref().is_ok_and(|v| *v > figure.bound);
    let over = figures.iter().any(over);
    if over { exit::FAILED } else { exit::OK }.into()
}

/// The median; NaN without values.
pub(crate) fn median(values: &[f64]) -> f64 {
    base::stats::median(values.iter().copied()).unwrap_or(f64::NAN)
}

/// Formats seconds and their median.
pub(crate) fn list(values: &[f64]) -> String {
    shown(values, 1)
}

/// Formats seconds and their median with two decimals.
pub(crate) fn fine_list(values: &[f64]) -> String {
    shown(values, 2)
}

fn shown(values: &[f64], decimals: usize) -> String {
    let all: Vec<_> = values.iter().map(|v| format!("{v:.decimals$}")).collect();
    let median = median(values);
    format!("{} s; median {median:.decimals$} s", all.join(" "))
}

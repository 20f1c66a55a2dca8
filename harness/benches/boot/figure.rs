//! Figures and their bounds.

use std::fmt;
use std::process::ExitCode;

use harness::exit;

/// A measured value and what it may be at most.
pub struct Figure {
    name: &'static str,
    value: f64,
    bound: f64,
    decimals: usize,
}

impl Figure {
    /// A figure that is shown with so many decimals.
    pub fn new(name: &'static str, value: f64, bound: f64, decimals: usize) -> Self {
        Self {
            name,
            value,
            bound,
            decimals,
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
        write!(f, "{name}: {value:.decimals$} (bound {bound})")
    }
}

/// Prints the figures, last of all; the status says whether one is over its bound.
pub fn verdict(figures: &[Figure]) -> ExitCode {
    println!();
    figures.iter().for_each(|figure| println!("{figure}"));
    let over = figures.iter().any(|figure| figure.value > figure.bound);
    if over { exit::RED } else { exit::OK }.into()
}

/// The one in the middle, or half way between the two that are.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (lower, upper) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(lower), sorted.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => f64::NAN,
    }
}

/// Values as a person reads them, and their median.
pub fn list(values: &[f64]) -> String {
    let all: Vec<_> = values.iter().map(|value| format!("{value:.1}")).collect();
    format!("{} s; median {:.1} s", all.join(" "), median(values))
}

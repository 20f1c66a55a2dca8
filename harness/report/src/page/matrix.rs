//! The matrix of scenarios and profiles.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::format::{class, format_duration, mark};
use crate::run::{Run, TestResult};

/// A row for each scenario, a column for each profile.
pub(super) fn section(run: &Run) -> Markup {
    let profiles: BTreeSet<&str> = run.trials.iter().map(TestResult::profile).collect();
    let mut rows: BTreeMap<&str, BTreeMap<&str, &TestResult>> = BTreeMap::new();
    for result in &run.trials {
        let row = rows.entry(result.scenario()).or_default();
        row.insert(result.profile(), result);
    }
    html! {
        section aria-labelledby="matrix" {
            h2 id="matrix" { "Scenarios and profiles" }
            div.wide tabindex="0" role="region" aria-labelledby="matrix" {
                table.matrix {
                    thead {
                        tr {
                            th scope="col" { "Scenario" }
                            @for profile in &profiles { th scope="col" { (profile) } }
                        }
                    }
                    tbody {
                        @for (scenario, row) in &rows {
                            tr {
                                th scope="row" { (scenario) }
                                @for profile in &profiles { (cell(row.get(profile).copied())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(result: Option<&TestResult>) -> Markup {
    let Some(result) = result else {
        return html! { td.nothing { span aria-label="does not run here" { "·" } } };
    };
    let outcome = result.outcome();
    html! {
        td data-trial=(result.name) {
            a class={ "cell " (class(outcome)) } href={ "#" (result.name) } {
                span.word { (mark(outcome)) " " (outcome.word()) }
                @if let Some(duration) = result.duration() { " " span.duration { (format_duration(duration)) } }
            }
        }
    }
}

//! Scenarios and profiles at a glance.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::{class, duration, mark};
use crate::run::{Run, Tried};

/// A row for each scenario, a column for each profile.
pub(super) fn section(run: &Run) -> Markup {
    let profiles: BTreeSet<&str> = run.trials.iter().map(Tried::profile).collect();
    let mut rows: BTreeMap<&str, BTreeMap<&str, &Tried>> = BTreeMap::new();
    for tried in &run.trials {
        let row = rows.entry(tried.scenario()).or_default();
        row.insert(tried.profile(), tried);
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

fn cell(tried: Option<&Tried>) -> Markup {
    let Some(tried) = tried else {
        return html! { td.nothing { span aria-label="does not run here" { "·" } } };
    };
    let outcome = tried.outcome();
    html! {
        td data-trial=(tried.name) {
            a class={ "cell " (class(outcome)) } href={ "#" (tried.name) } {
                span.word { (mark(outcome)) " " (outcome.word()) }
                @if let Some(took) = tried.took() { " " span.took { (duration(took)) } }
            }
        }
    }
}

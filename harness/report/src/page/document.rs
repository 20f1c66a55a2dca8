//! The HTML document: head, title, filters and sections.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::format::{badge, class, date, format_duration, gist, mark};
use super::{boots, matrix, trial};
use crate::history::PastBoot;
use crate::run::{Outcome, Run};
use crate::run_log::RunLog;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Renders the page of a run; `history` contains the past boots to compare with.
pub fn html(run_log: &RunLog, history: &[PastBoot]) -> String {
    let run = Run::of(&run_log.events);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&run))
            body {
                (masthead(&run))
                main {
                    (attention(&run))
                    (matrix::section(&run))
                    (boots::section(&run, history))
                    (trials(&run, run_log, history))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn head(run: &Run) -> Markup {
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT),
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (title(run)) }
            // Without it, browsers request `/favicon.ico` from the server.
            link rel="icon" href="data:,";
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// A text as a hash source of a content security policy.
fn hash(text: &str) -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(text));
    format!("'sha256-{hash}'")
}

fn title(run: &Run) -> String {
    let [passed, flaky, ignored] =
        [Outcome::Passed, Outcome::Flaky, Outcome::Ignored].map(|outcome| run.count(outcome));
    let known = run.count(Outcome::KnownFailure);
    match (run.trials.len() - ignored - known, flaky) {
        (ran, _) if ran > passed + flaky => {
            format!("{} of {ran} did not pass", ran - passed - flaky)
        }
        (_, 0) => format!("{passed} passed"),
        (_, flaky) => format!("{passed} passed, {flaky} flaky"),
    }
}

fn masthead(run: &Run) -> Markup {
    html! {
        header {
            h1 { (title(run)) }
            p.when {
                time { (date(run.start)) }
                @match run.duration {
                    Some(duration) => { " · took " (format_duration(duration)) }
                    None => { " · the run had not ended when this page was written" }
                }
            }
            @for note in &run.notes { p.note { "⚠ " (note) } }
            (filters(run))
        }
    }
}

/// Hidden until the script runs, which implements them.
fn filters(run: &Run) -> Markup {
    let mut profiles: Vec<&str> = run
        .trials
        .iter()
        .map(crate::run::TestResult::profile)
        .collect();
    profiles.dedup();
    html! {
        form.filters hidden role="search" aria-label="Filter trials" {
            input type="search" name="text" placeholder="Filter by name, step or failure" aria-label="Filter by text" autocomplete="off";
            div.chips role="group" aria-label="Verdicts" {
                @for outcome in Outcome::ALL {
                    @let count = run.count(outcome);
                    @if count > 0 {
                        button type="button" class={ "chip " (class(outcome)) } data-verdict=(class(outcome)) aria-pressed="false" {
                            (count) " " (mark(outcome)) " " (outcome.word())
                        }
                    }
                }
            }
            @if profiles.len() > 1 {
                div.chips role="group" aria-label="Profiles" {
                    @for profile in profiles {
                        button.chip type="button" data-profile=(profile) aria-pressed="false" { (profile) }
                    }
                }
            }
            p.shown role="status" {}
        }
    }
}

/// The trials that need attention, each with a link.
fn attention(run: &Run) -> Markup {
    let results = run.trials.iter().filter(|t| t.outcome().needs_attention());
    let results: Vec<_> = results.collect();
    html! {
        @if !results.is_empty() {
            section.attention aria-labelledby="attention" {
                h2 id="attention" { "Needs attention" }
                ul {
                    @for result in results {
                        li data-trial=(result.name) {
                            a href={ "#" (result.name) } {
                                (badge(result.outcome())) " " strong { (result.name) }
                            }
                            @if let Some(reason) = result.reason() { p { (gist(reason)) } }
                        }
                    }
                }
            }
        }
    }
}

fn trials(run: &Run, run_log: &RunLog, history: &[PastBoot]) -> Markup {
    html! {
        section aria-labelledby="trials" {
            h2 id="trials" { "Trials" }
            @for result in &run.trials { (trial::section(result, run_log, history)) }
            p.none hidden { "No trial matches the filters." }
        }
    }
}

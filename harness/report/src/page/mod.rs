//! A run as one self-contained HTML page: it loads nothing, and works without scripts.
//!
//! maud escapes all text. In addition, the content security policy allows only the page's own style and
//! script, by their hashes.

mod boots;
mod commands;
mod matrix;
mod serial;
mod timeline;
mod trial;

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::history::PastBoot;
use super::run::{Outcome, Run};
use super::run_log::RunLog;

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
        .map(super::run::TestResult::profile)
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
                            @if let Some(reason) = result.reason() { p { (gist(reason, &result.name)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The first line of the reason of a trial, without the trial's name.
fn gist<'a>(reason: &'a str, name: &str) -> &'a str {
    let line = reason
        .lines()
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let rest = line.strip_prefix(name);
    rest.map_or(line, |rest| rest.trim_start_matches([':', ' ']))
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

/// An outcome with a symbol, so that it does not depend on colour.
fn badge(outcome: Outcome) -> Markup {
    html! { span class={ "badge " (class(outcome)) } { (mark(outcome)) " " (outcome.word()) } }
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failed => "✗",
        Outcome::Error => "!",
        Outcome::NotEnded => "…",
        Outcome::Flaky => "~",
        Outcome::KnownFailure => "≈",
        Outcome::Ignored => "–",
        Outcome::Passed => "✓",
    }
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failed => "failed",
        Outcome::Error => "error",
        Outcome::NotEnded => "not-ended",
        Outcome::Flaky => "flaky",
        Outcome::KnownFailure => "known",
        Outcome::Ignored => "ignored",
        Outcome::Passed => "passed",
    }
}

/// `3.2 s`, `1 min 05 s`.
fn format_duration(seconds: f64) -> String {
    // Rounding first: 59.96 s is a minute.
    match (seconds * 10.0).round() / 10.0 {
        s if s < 60.0 => format!("{s:.1} s"),
        s => format!(
            "{:.0} min {:02.0} s",
            (s / 60.0).floor(),
            (s % 60.0).floor()
        ),
    }
}

fn date(timestamp: f64) -> String {
    let time = UNIX_EPOCH + Duration::try_from_secs_f64(timestamp).unwrap_or_default();
    let date = humantime::format_rfc3339_seconds(time).to_string();
    date.replace('T', " ").replace('Z', " UTC")
}

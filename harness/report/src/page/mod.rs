//! A run as one self-contained page: it asks for nothing from anywhere, and reads without scripts.
//!
//! All text goes through maud, which escapes it; beyond that the page lets only its own style and
//! script run, by their hashes.

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

use super::history::Booted;
use super::journal::Journal;
use super::run::{Outcome, Run};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page of a run, with what is known of earlier boots.
pub fn html(journal: &Journal, history: &[Booted]) -> String {
    let run = Run::of(&journal.events);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&run))
            body {
                (masthead(&run))
                main {
                    (wrong(&run))
                    (matrix::section(&run))
                    (boots::section(&run, history))
                    (trials(&run, journal, history))
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
            // Without one, browsers ask the server for it.
            link rel="icon" href="data:,";
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// A source that a content security policy lets pass.
fn hash(text: &str) -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(text));
    format!("'sha256-{hash}'")
}

fn title(run: &Run) -> String {
    let [passed, flaky, ignored] =
        [Outcome::Passed, Outcome::Flaky, Outcome::Ignored].map(|outcome| run.count(outcome));
    let known = run.count(Outcome::Known);
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
                time { (date(run.at)) }
                @match run.took {
                    Some(took) => { " · took " (duration(took)) }
                    None => { " · the run had not ended when this was written" }
                }
            }
            @for note in &run.notes { p.note { "⚠ " (note) } }
            (filters(run))
        }
    }
}

/// Shown by the script, which makes them work.
fn filters(run: &Run) -> Markup {
    let mut profiles: Vec<&str> = run.trials.iter().map(super::run::Tried::profile).collect();
    profiles.dedup();
    html! {
        form.filters hidden role="search" aria-label="Filter trials" {
            input type="search" name="text" placeholder="Filter by name, step or fault" aria-label="Filter by text" autocomplete="off";
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

/// What somebody should look at, each a click away.
fn wrong(run: &Run) -> Markup {
    let wrong = run.trials.iter().filter(|t| t.outcome().wants_a_look());
    let wrong: Vec<_> = wrong.collect();
    html! {
        @if !wrong.is_empty() {
            section.wrong aria-labelledby="wrong" {
                h2 id="wrong" { "To look at" }
                ul {
                    @for tried in wrong {
                        li data-trial=(tried.name) {
                            a href={ "#" (tried.name) } {
                                (badge(tried.outcome())) " " strong { (tried.name) }
                            }
                            @if let Some(why) = tried.why() { p { (gist(why, &tried.name)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The first line of what a trial says, without its name.
fn gist<'a>(why: &'a str, name: &str) -> &'a str {
    let line = why
        .lines()
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let rest = line.strip_prefix(name);
    rest.map_or(line, |rest| rest.trim_start_matches([':', ' ']))
}

fn trials(run: &Run, journal: &Journal, history: &[Booted]) -> Markup {
    html! {
        section aria-labelledby="trials" {
            h2 id="trials" { "Trials" }
            @for tried in &run.trials { (trial::section(tried, journal, history)) }
            p.none hidden { "No trial is like that." }
        }
    }
}

/// A verdict that can be read without its colour.
fn badge(outcome: Outcome) -> Markup {
    html! { span class={ "badge " (class(outcome)) } { (mark(outcome)) " " (outcome.word()) } }
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Red => "✗",
        Outcome::NoVerdict => "!",
        Outcome::NotEnded => "…",
        Outcome::Flaky => "~",
        Outcome::Known => "≈",
        Outcome::Ignored => "–",
        Outcome::Passed => "✓",
    }
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Red => "red",
        Outcome::NoVerdict => "no-verdict",
        Outcome::NotEnded => "not-ended",
        Outcome::Flaky => "flaky",
        Outcome::Known => "known",
        Outcome::Ignored => "ignored",
        Outcome::Passed => "passed",
    }
}

/// `3.2 s`, `1 min 05 s`.
fn duration(seconds: f64) -> String {
    // A tenth of a second more may make a minute of it.
    match (seconds * 10.0).round() / 10.0 {
        s if s < 60.0 => format!("{s:.1} s"),
        s => format!(
            "{:.0} min {:02.0} s",
            (s / 60.0).floor(),
            (s % 60.0).floor()
        ),
    }
}

fn date(at: f64) -> String {
    let at = UNIX_EPOCH + Duration::try_from_secs_f64(at).unwrap_or_default();
    let date = humantime::format_rfc3339_seconds(at).to_string();
    date.replace('T', " ").replace('Z', " UTC")
}

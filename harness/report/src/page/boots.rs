//! Boot ladders: of one boot, and of the boots before it.

use maud::{Markup, html};

use super::duration;
use crate::history::{Booted, USUAL, alike, usual};
use crate::run::Run;
use events::{Ladder, Rung};

/// So many boots are drawn.
const DRAWN: usize = 40;
/// The stage whose time is that of the whole boot.
const LAST: &str = "started";

/// How long boots take on each profile of the run, and took before.
pub(super) fn section(run: &Run, history: &[Booted]) -> Markup {
    let lasts = last_of_each(run);
    html! {
        @if !lasts.is_empty() {
            section aria-labelledby="boots" {
                h2 id="boots" { "Boots" }
                div.boots {
                    @for last in lasts { (profile(last, &alike(history, last))) }
                }
            }
        }
    }
}

/// The last boot on each profile.
fn last_of_each(run: &Run) -> Vec<&Ladder> {
    let mut lasts: Vec<&Ladder> = Vec::new();
    let attempts = run.trials.iter().flat_map(|tried| &tried.attempts);
    for boot in attempts
        .flat_map(|one| &one.boots)
        .filter(|boot| boot.ready)
    {
        lasts.retain(|last| last.profile != boot.profile);
        lasts.push(boot);
    }
    lasts.sort_by(|a, b| a.profile.cmp(&b.profile));
    lasts
}

fn profile(last: &Ladder, before: &[&Booted]) -> Markup {
    let times: Vec<f64> = before
        .iter()
        .filter_map(|boot| Some(boot.ladder.rung(LAST)?.seconds))
        .collect();
    html! {
        div.machine {
            h3 { (last.profile) " " small { (last.accelerator) } }
            @if let Some(rung) = last.rung(LAST) {
                p {
                    strong { (duration(rung.seconds)) }
                    @if let Some(usual) = usual(before, LAST) {
                        " · usually " (duration(usual)) " (" (before.len().min(USUAL)) " boots)"
                    }
                    @if let Some(budget) = rung.budget { " · budget " (duration(budget)) }
                }
            }
            @if times.len() > 1 { (sparkline(&times)) }
        }
    }
}

/// The last boots, a bar each, the newest on the right.
fn sparkline(times: &[f64]) -> Markup {
    let times = &times[times.len().saturating_sub(DRAWN)..];
    let most = times.iter().copied().fold(0.1, f64::max);
    let width = 400.0 / DRAWN as f64;
    html! {
        svg.sparkline viewBox="0 0 400 40" preserveAspectRatio="none" role="img"
            aria-label={ "The last " (times.len()) " boots; the slowest took " (duration(most)) } {
            @for (index, time) in times.iter().enumerate() {
                @let height = (time / most * 390.0).round() / 10.0;
                rect x=((DRAWN - times.len() + index) as f64 * width) y=(40.0 - height)
                    width=(width - 2.0) height=(height) { title { (duration(*time)) } }
            }
        }
    }
}

/// One boot, rung by rung.
pub(super) fn ladder(boot: &Ladder, history: &[Booted]) -> Markup {
    let before = alike(history, boot);
    let late = boot.rungs.iter().filter(|rung| rung.is_late()).count();
    let end = boot
        .rungs
        .last()
        .map_or(0.0, |rung| rung.seconds)
        .max(0.001);
    html! {
        details.ladder open[late > 0 || !boot.ready] {
            summary {
                "Boot ladder"
                @if let Some(last) = boot.rungs.last() { ": " (last.stage) " at " (duration(last.seconds)) }
                @if !boot.ready { " · ✗ did not become ready" }
                @if late > 0 { " · ⚠ " (late) " over budget" }
            }
            @if boot.rungs.is_empty() { p.meta { "The machine told nothing of its boot." } }
            @else {
                div.wide tabindex="0" role="region" aria-label="Boot ladder" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Stage" }
                                th.figure scope="col" { "At" }
                                th.figure scope="col" { "DurationStats" }
                                th.figure scope="col" { "Budget" }
                                th.draw scope="col" { span.unseen { "Drawn" } }
                            }
                        }
                        tbody { @for rung in &boot.rungs { (row(rung, &before, end)) } }
                    }
                }
            }
        }
    }
}

fn row(rung: &Rung, before: &[&Booted], end: f64) -> Markup {
    let x = |seconds: f64| (seconds / end * 10000.0).round() / 10.0;
    html! {
        tr.late[rung.is_late()].red[rung.error.is_some()] {
            th scope="row" {
                (rung.stage)
                @if rung.is_late() { span.why { "⚠ over budget" } }
                @if let Some(error) = &rung.error { span.why { "✗ " (error) } }
            }
            td.figure { (format!("{:.1}", rung.seconds)) }
            td.figure { @if let Some(usual) = usual(before, &rung.stage) { (format!("{usual:.1}")) } }
            td.figure { @if let Some(budget) = rung.budget { (format!("{budget:.1}")) } }
            td.draw {
                svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
                    rect x="0" y="0" width=(x(rung.seconds).max(4.0)) height="10" {}
                    @if let Some(budget) = rung.budget.filter(|budget| *budget <= end) {
                        rect.budget x=(x(budget)) y="0" width="4" height="10" {}
                    }
                }
            }
        }
    }
}

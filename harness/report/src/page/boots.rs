//! Boot times: the timeline of one boot, and the boots before it.

use maud::{Markup, html};

use super::format::format_duration;
use crate::history::{BASELINE_BOOTS, PastBoot, comparable, median_time};
use crate::run::Run;
use events::{BootStage, BootTimeline};

/// The number of boots in a sparkline.
const SPARKLINE_BOOTS: usize = 40;
/// The stage that ends a boot.
const LAST_STAGE: &str = "started";

/// The boot times of each profile of the run, compared with past boots.
pub(super) fn section(run: &Run, history: &[PastBoot]) -> Markup {
    let lasts = last_of_each(run);
    html! {
        @if !lasts.is_empty() {
            section aria-labelledby="boots" {
                h2 id="boots" { "Boots" }
                div.boots {
                    @for last in lasts { (profile(last, &comparable(history, last))) }
                }
            }
        }
    }
}

/// The last boot on each profile.
fn last_of_each(run: &Run) -> Vec<&BootTimeline> {
    let mut lasts: Vec<&BootTimeline> = Vec::new();
    let attempts = run.trials.iter().flat_map(|result| &result.attempts);
    let boots = attempts.flat_map(|one| &one.boots).map(|(_, boot)| boot);
    for boot in boots.filter(|boot| boot.ready) {
        lasts.retain(|last| last.profile != boot.profile);
        lasts.push(boot);
    }
    lasts.sort_by(|a, b| a.profile.cmp(&b.profile));
    lasts
}

fn profile(last: &BootTimeline, before: &[&PastBoot]) -> Markup {
    let times: Vec<f64> = before
        .iter()
        .filter_map(|boot| Some(boot.timeline.stage(LAST_STAGE)?.seconds))
        .collect();
    html! {
        div.machine {
            h3 { (last.profile) " " small { (last.accelerator) } }
            @if let Some(stage) = last.stage(LAST_STAGE) {
                p {
                    strong { (format_duration(stage.seconds)) }
                    @if let Some(usual) = median_time(before, LAST_STAGE) {
                        " · usually " (format_duration(usual)) " (" (before.len().min(BASELINE_BOOTS)) " boots)"
                    }
                    @if let Some(budget) = stage.budget { " · budget " (format_duration(budget)) }
                }
            }
            @if times.len() > 1 { (sparkline(&times)) }
        }
    }
}

/// The last boots as bars, the newest on the right.
fn sparkline(times: &[f64]) -> Markup {
    let times = &times[times.len().saturating_sub(SPARKLINE_BOOTS)..];
    let slowest = times.iter().copied().fold(0.1, f64::max);
    let width = 400.0 / SPARKLINE_BOOTS as f64;
    html! {
        svg.sparkline viewBox="0 0 400 40" preserveAspectRatio="none" role="img"
            aria-label={ "The last " (times.len()) " boots; the slowest took " (format_duration(slowest)) } {
            @for (index, time) in times.iter().enumerate() {
                @let height = (time / slowest * 390.0).round() / 10.0;
                rect x=((SPARKLINE_BOOTS - times.len() + index) as f64 * width) y=(40.0 - height)
                    width=(width - 2.0) height=(height) { title { (format_duration(*time)) } }
            }
        }
    }
}

/// The timeline of one boot: a row for each stage. `machine` is the name of the machine, if there are several.
pub(super) fn timeline(machine: Option<&str>, boot: &BootTimeline, history: &[PastBoot]) -> Markup {
    let before = comparable(history, boot);
    let late = boot.stages.iter().filter(|stage| stage.is_late()).count();
    let end = boot
        .stages
        .last()
        .map_or(0.0, |stage| stage.seconds)
        .max(0.001);
    html! {
        details.boot-timeline open[late > 0 || !boot.ready] {
            summary {
                "Boot timeline"
                @if let Some(name) = machine { " of " (name) }
                @if let Some(last) = boot.stages.last() { ": " (last.stage) " at " (format_duration(last.seconds)) }
                @if !boot.ready { " · ✗ did not become ready" }
                @if late > 0 { " · ⚠ " (late) " over budget" }
            }
            @if boot.stages.is_empty() { p.meta { "The machine reported no boot stages." } }
            @else {
                div.wide tabindex="0" role="region" aria-label="Boot timeline" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Stage" }
                                th.figure scope="col" { "At" }
                                th.figure scope="col" { "Usual" }
                                th.figure scope="col" { "Budget" }
                                th.chart scope="col" { span.visually-hidden { "Chart" } }
                            }
                        }
                        tbody { @for stage in &boot.stages { (row(stage, &before, end)) } }
                    }
                }
            }
        }
    }
}

fn row(stage: &BootStage, before: &[&PastBoot], end: f64) -> Markup {
    let x = |seconds: f64| (seconds / end * 10000.0).round() / 10.0;
    html! {
        tr.late[stage.is_late()].failed[stage.error.is_some()] {
            th scope="row" {
                (stage.stage)
                @if stage.is_late() { span.stage-note { "⚠ over budget" } }
                @if let Some(error) = &stage.error { span.stage-note { "✗ " (error) } }
            }
            td.figure { (format!("{:.1}", stage.seconds)) }
            td.figure { @if let Some(usual) = median_time(before, &stage.stage) { (format!("{usual:.1}")) } }
            td.figure { @if let Some(budget) = stage.budget { (format!("{budget:.1}")) } }
            td.chart {
                svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
                    rect x="0" y="0" width=(x(stage.seconds).max(4.0)) height="10" {}
                    @if let Some(budget) = stage.budget.filter(|budget| *budget <= end) {
                        rect.budget x=(x(budget)) y="0" width="4" height="10" {}
                    }
                }
            }
        }
    }
}

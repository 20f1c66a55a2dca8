//! Snapshots of what a machine printed: files beside the scenarios, kept and reviewed by insta.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use crate::scenario::Filter;

use super::fault::Fault;
use super::judge::diff;

/// Compares `got` with the snapshot `NAME.snap` of a folder, after its filters.
///
/// # Errors
/// It differs, or there is no such snapshot yet; insta has left a new one for review.
pub fn compare(
    what: &str,
    got: &str,
    name: &str,
    filters: &[Filter],
    folder: &Path,
) -> Result<(), Fault> {
    let got = filters.iter().fold(got.to_owned(), |text, filter| {
        filter
            .pattern
            .0
            .replace_all(&text, filter.replacement.as_str())
            .into_owned()
    });
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(absolute(folder));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    if quietly(|| settings.bind(|| insta::assert_snapshot!(name, got))) {
        return Ok(());
    }
    let file = folder.join(format!("{name}.snap"));
    let review = format!(
        "{}, then `cargo insta review`",
        file.with_extension("snap.new").display()
    );
    Err(match content(&file) {
        Some(kept) => Fault::new(format!("{what} differs from {}", file.display()))
            .with("difference (- expected, + got)", diff(&kept, &got))
            .with("if it is right now", review),
        None => Fault::new(format!("there is no snapshot {}", file.display()))
            .with(what, got)
            .with("if it is right", review),
    })
}

/// insta takes a relative path from the source file that calls it.
fn absolute(folder: &Path) -> std::path::PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// What is in a snapshot after its head.
fn content(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.strip_prefix("---\n")?
        .split_once("\n---\n")
        .map(|(_, content)| content.to_owned())
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether `check` ends without a panic. insta tells by one; nobody wants to see its backtrace
/// above a message that says it better.
fn quietly(check: impl FnOnce()) -> bool {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(true);
    let fine = catch_unwind(AssertUnwindSafe(check)).is_ok();
    QUIET.set(false);
    fine
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "---\nsource: x\n---\nrancherctl [version]\n";

    fn filters() -> Vec<Filter> {
        let yaml = r"[{pattern: '\d+\.\d+\.\d+', replacement: '[version]'}]";
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn what_differs_from_run_to_run_is_filtered() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("version.snap"), KEPT).unwrap();
        let same = "rancherctl 0.1.0\n";
        compare("stdout", same, "version", &filters(), folder.path()).unwrap();
        // What differs is not tried here: insta would tell of it on this test's own output.
        assert_eq!(
            content(&folder.path().join("version.snap")).unwrap(),
            "rancherctl [version]\n"
        );
    }
}

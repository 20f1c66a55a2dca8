//! Snapshots of the output of a machine: files beside the scenarios, managed with insta.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use scenario::Filter;

use super::failure::StepFailure;
use super::judge::diff;

/// Whether this process accepts output that differs from its snapshot.
static ACCEPTS: AtomicBool = AtomicBool::new(false);

/// From now on, output that differs from its snapshot, or has none, replaces the snapshot.
pub fn accept_all() {
    ACCEPTS.store(true, Ordering::Relaxed);
}

/// Writes a snapshot in insta's format, unless the snapshot has this content already.
fn accept(got: &str, file: &Path) -> std::io::Result<()> {
    let got = got.trim_end_matches('\n');
    if content(file).is_some_and(|kept| kept.trim_end_matches('\n') == got) {
        return Ok(());
    }
    std::fs::create_dir_all(file.parent().unwrap_or(file))?;
    std::fs::write(file, format!("---\nsource: {}\n---\n{got}\n", file!()))?;
    // Remove the snapshot that insta left for review.
    let _ = std::fs::remove_file(file.with_extension("snap.new"));
    log::info!("accepted: {}", file.display());
    Ok(())
}

/// Compares `got` with the snapshot `NAME.snap` of a folder, after its filters.
///
/// # Errors
/// The output differs, or the snapshot does not exist. insta leaves a new snapshot for review.
pub(crate) fn compare(
    what: &str,
    got: &str,
    name: &str,
    filters: &[Filter],
    folder: &Path,
) -> Result<(), StepFailure> {
    let got = filters.iter().fold(got.to_owned(), |text, filter| {
        filter
            .pattern
            .0
            .replace_all(&text, filter.replacement.as_str())
            .into_owned()
    });
    let file = folder.join(format!("{name}.snap"));
    if ACCEPTS.load(Ordering::Relaxed) {
        let accepted = accept(&got, &file);
        return accepted.map_err(|error| StepFailure::new(format!("{}: {error}", file.display())));
    }
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(absolute(folder));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    if quietly(|| settings.bind(|| insta::assert_snapshot!(name, got))) {
        return Ok(());
    }
    let new = file.with_extension("snap.new");
    let review = format!(
        "{}; hint: accept it with `cargo harness test --accept NAME`",
        new.display()
    );
    Err(match content(&file) {
        Some(kept) => StepFailure::new(format!("{what} differs from {}", file.display()))
            .with("difference (- expected, + got)", diff(&kept, &got))
            .with("new snapshot", review),
        None => StepFailure::new(format!("snapshot {} does not exist", file.display()))
            .with(what, got)
            .with("new snapshot", review),
    })
}

/// insta resolves a relative path from the source file that calls it.
fn absolute(folder: &Path) -> std::path::PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// The content of a snapshot after its header.
fn content(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.strip_prefix("---\n")?
        .split_once("\n---\n")
        .map(|(_, content)| content.to_owned())
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether `check` returns without a panic. insta reports a difference by a panic, whose backtrace would
/// only clutter the output.
fn quietly(check: impl FnOnce()) -> bool {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                default_hook(info);
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
    fn compare_applies_filters_and_accept_replaces_the_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("version.snap"), KEPT).unwrap();
        let same = "rancherctl 0.1.0\n";
        compare("stdout", same, "version", &filters(), folder.path()).unwrap();
        let (new, file) = ("kettle 2\n\n", folder.path().join("new/kettle.snap"));
        accept(new, &file).unwrap();
        assert_eq!(content(&file).unwrap(), "kettle 2\n");
        accept("kettle 3", &file).unwrap();
        assert_eq!(content(&file).unwrap(), "kettle 3\n");
        // A difference is not tested here: insta would print it in the output of this test.
        assert_eq!(
            content(&folder.path().join("version.snap")).unwrap(),
            "rancherctl [version]\n"
        );
    }
}

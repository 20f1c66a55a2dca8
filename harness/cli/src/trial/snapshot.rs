//! Snapshots of what a machine printed: files beside the scenarios, kept and reviewed by insta.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use scenario::Filter;

use super::fault::Fault;
use super::judge::diff;

/// Whether what differs is right now, in this process.
static ACCEPTS: AtomicBool = AtomicBool::new(false);

/// From now on what was printed becomes the snapshot where it differs, or where there is none.
pub fn accept_all() {
    ACCEPTS.store(true, Ordering::Relaxed);
}

/// Writes a snapshot as insta does. What is right already stays as it is.
fn accept(got: &str, file: &Path) -> std::io::Result<()> {
    let got = got.trim_end_matches('\n');
    if content(file).is_some_and(|kept| kept.trim_end_matches('\n') == got) {
        return Ok(());
    }
    std::fs::create_dir_all(file.parent().unwrap_or(file))?;
    std::fs::write(file, format!("---\nsource: {}\n---\n{got}\n", file!()))?;
    // What insta left for review is settled.
    let _ = std::fs::remove_file(file.with_extension("snap.new"));
    eprintln!("accepted: {}", file.display());
    Ok(())
}

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
    let file = folder.join(format!("{name}.snap"));
    if ACCEPTS.load(Ordering::Relaxed) {
        let accepted = accept(&got, &file);
        return accepted.map_err(|error| Fault::new(format!("{}: {error}", file.display())));
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
        "{}; `cargo harness test --accept NAME` takes it",
        new.display()
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
        let (new, file) = ("kettle 2\n\n", folder.path().join("new/kettle.snap"));
        accept(new, &file).unwrap();
        assert_eq!(content(&file).unwrap(), "kettle 2\n");
        accept("kettle 3", &file).unwrap();
        assert_eq!(content(&file).unwrap(), "kettle 3\n");
        // What differs is not tried here: insta would tell of it on this test's own output.
        assert_eq!(
            content(&folder.path().join("version.snap")).unwrap(),
            "rancherctl [version]\n"
        );
    }
}

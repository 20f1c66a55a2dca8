//! Finds the project that a command applies to.

use std::path::{Path, PathBuf};

pub use runner::Project;

/// The project that contains the working directory, or else the one that this program was built from.
pub fn find() -> Project {
    let here = std::env::current_dir().unwrap_or_default();
    let around = here.ancestors().find(|folder| Project::is_root(folder));
    let root = around.map_or_else(built_from, Path::to_owned);
    Project::new(root, here)
}

fn built_from() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

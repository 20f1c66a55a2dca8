//! Which folders the tree has.

/// The tree, in the machine's own mount namespace and in containers that mount it.
pub const TREE: &str = "/tree";

/// The folder of the state device that is the tree's root.
pub const STATE_FOLDER: &str = "/var/lib/rancher/state/root";

/// Folders that `init` mounts into the tree, because they are the same in the whole machine, with every
/// console.
pub const SYSTEM_FOLDERS: [&str; 9] = [
    "dev",
    "proc",
    "run",
    "sys",
    "home",
    "opt",
    "var/lib/docker",
    "var/lib/rancher/conf",
    "var/log",
];

/// Folders that exist from the start and persist, even if the console's image has folders of these names.
pub const PERSISTENT_FOLDERS: [&str; 3] = ["media", "mnt", "srv"];

/// Whether a path is in [`SYSTEM_FOLDERS`] or [`PERSISTENT_FOLDERS`], or above or below one of them.
pub(crate) fn is_fixed(path: &str) -> bool {
    let mut fixed = SYSTEM_FOLDERS.iter().chain(&PERSISTENT_FOLDERS);
    fixed.any(|fixed| is_below(path, fixed) || is_below(fixed, path))
}

/// Whether a path is another one or below it.
fn is_below(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_fixed_includes_paths_above_and_below_fixed_folders() {
        for path in ["dev", "srv", "var/lib/rancher", "var/log/more"] {
            assert!(is_fixed(path), "{path}");
        }
        for path in ["etc", "devices", "var/cache", "var/lib/dpkg"] {
            assert!(!is_fixed(path), "{path}");
        }
    }
}

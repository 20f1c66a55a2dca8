//! The tree: what people, their Docker engine and the container runtime see as `/`.
//!
//! The root of the machine is read-only and holds nothing of the user's, and each system container has a
//! root of its own. A bind mount (`docker run -v /srv/www:/www`) names a folder three times: the person
//! who types it, the engine that looks for it, and the runtime that mounts it must all find the same
//! one. So there is one tree, at [`TREE`] in the machine's own mount namespace, with shared propagation:
//!
//! - its root is a folder of the state device: a folder that somebody makes there (`/data`) persists;
//! - `init` mounts what is the same in the whole machine into it ([`BASE`]);
//! - the console adds the folders of its image (`/etc`, `/usr`) and makes the tree its root ([`console`]);
//! - the user's engine makes it its root, too, but with the machine's programs ([`engine`]);
//! - the runtime of the user's containers stays where it is and finds the sources of bind mounts in the
//!   tree ([`crate::runtime`]).
//!
//! RancherOS had the same problem and started the user's engine in the console's namespaces (v0.5,
//! `rancher.docker.storage_context`); there the engine ended with the console.

pub mod console;
pub mod engine;
mod path;
mod place;
mod root;

pub use path::place;

/// Where the tree is in the machine's own mount namespace, and in that of containers that have it.
pub const TREE: &str = "/tree";

/// The folder of the state device that is the tree's root.
pub const KEPT: &str = "/var/lib/rancher/state/root";

/// What `init` mounts into the tree: it is the same in the whole machine, whichever console there is.
pub const BASE: [&str; 9] = [
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

/// Folders of the tree that exist from the start and persist, whatever an image has at these places.
pub const FOLDERS: [&str; 3] = ["media", "mnt", "srv"];

/// Whether a path of the tree belongs to [`BASE`] or [`FOLDERS`], or lies above or below one of them.
fn is_fixed(path: &str) -> bool {
    let fixed = BASE.iter().chain(&FOLDERS);
    fixed.into_iter().any(|fixed| {
        let below = |outer: &str, inner: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        below(fixed, path) || below(path, fixed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_places_include_what_lies_above_and_below_them() {
        for path in ["dev", "srv", "var/lib/rancher", "var/log/more"] {
            assert!(is_fixed(path), "{path}");
        }
        for path in ["etc", "devices", "var/cache", "var/lib/dpkg"] {
            assert!(!is_fixed(path), "{path}");
        }
    }
}

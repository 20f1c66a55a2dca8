//! Kernel settings that the configuration asks for.

use std::collections::BTreeMap;

use config::engine::Warning;

use crate::sys::Sys;

/// What becomes of a setting that the kernel does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It may come with a module.
    Later,
    /// It is told.
    Fault,
}

/// Sets what is not so already; returns what could not be set.
pub(crate) fn apply(
    sys: &mut dyn Sys,
    wanted: &BTreeMap<String, String>,
    missing: Missing,
) -> Vec<Warning> {
    let mut failed = Vec::new();
    for (name, value) in wanted {
        // Those that are none are left out of the configuration.
        let Some(file) = config::sysctl::file(name) else {
            continue;
        };
        let has = sys.read(&file);
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let why = match &has {
            Ok(has) if words(has) == words(value) => continue,
            Err(_) if !is_there(sys, &file) => match missing {
                Missing::Later => continue,
                Missing::Fault => Some("the kernel has no such setting".to_owned()),
            },
            // Some can only be written.
            _ => sys.write(&file, value).err(),
        };
        let path = vec!["sysctl".to_owned(), name.clone()];
        failed.extend(why.map(|why| Warning::at(path, why)));
    }
    failed
}

fn is_there(sys: &mut dyn Sys, file: &str) -> bool {
    let Some((folder, name)) = file.rsplit_once('/') else {
        return false;
    };
    let names = sys.list(folder).unwrap_or_default();
    names.iter().any(|one| one == name)
}

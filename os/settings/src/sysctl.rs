//! Kernel settings (sysctl(8)).

use std::collections::BTreeMap;

use config::engine::Warning;
use sys::Sys;

/// What to do about a setting that the kernel does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Skip it: a module that is loaded later may bring it.
    Skip,
    /// Return it as an error.
    Report,
}

/// Writes the settings whose values differ; returns those that cannot be set.
pub fn apply_sysctls(
    sys: &mut dyn Sys,
    wanted: &BTreeMap<String, String>,
    missing: Missing,
) -> Vec<Warning> {
    let mut failed = Vec::new();
    for (name, value) in wanted {
        // The configuration has no invalid names: reading it removes them.
        let Some(file) = config::sysctl::file(name) else {
            continue;
        };
        let current = sys.read(&file);
        let why = match &current {
            Ok(current) if words(current).eq(words(value)) => continue,
            Err(_) if !exists(sys, &file) => match missing {
                Missing::Skip => continue,
                Missing::Report => Some("the kernel has no such setting".to_owned()),
            },
            // Some settings can be written only.
            _ => sys.write(&file, value).err(),
        };
        let path = vec!["sysctl".to_owned(), name.clone()];
        failed.extend(why.map(|why| Warning::at(path, why)));
    }
    failed
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

fn exists(sys: &mut dyn Sys, file: &str) -> bool {
    let Some((folder, name)) = file.rsplit_once('/') else {
        return false;
    };
    let names = sys.list(folder).unwrap_or_default();
    names.iter().any(|one| one == name)
}

//! A kernel command line: whatever it says, there is a configuration, and what was left out has a
//! place.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let loaded = config::from_cmdline(line);
    assert!(
        loaded
            .problems
            .iter()
            .all(|problem| !problem.place.is_empty())
    );
});

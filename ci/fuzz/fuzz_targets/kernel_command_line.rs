//! Input: a kernel command line. Loading it must not fail, and each problem must have a location.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let loaded = config::from_cmdline(line);
    assert!(
        loaded
            .problems
            .iter()
            .all(|problem| !problem.location.is_empty())
    );
});

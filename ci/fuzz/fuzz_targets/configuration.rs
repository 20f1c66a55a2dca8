//! Input: a user's document. Loading it must not fail, and each problem must have a location.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    fuzz::file("rancher.yml", document);
    let loaded = config::load(fuzz::folder(), "");
    assert!(
        loaded
            .problems
            .iter()
            .all(|problem| !problem.location.is_empty())
    );
});

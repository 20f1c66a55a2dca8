//! A user's document: whatever it says, there is a configuration, and what was left out has a place.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    fuzz::file("rancher.yml", document);
    let loaded = config::load(fuzz::folder(), "");
    assert!(
        loaded
            .problems
            .iter()
            .all(|problem| !problem.place.is_empty())
    );
});

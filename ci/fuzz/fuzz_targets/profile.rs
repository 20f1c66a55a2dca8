//! A profile file: it makes sense, or the error has a line of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    if let Err(error) = machine::profile::load(&fuzz::file("fuzzed.yaml", content)) {
        let _ = error.to_string();
    }
});

//! A scenario file: it makes sense, or every error has a line of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scenario::Known;

fuzz_target!(|content: &[u8]| {
    let known = Known {
        profiles: vec!["q35".into(), "pc".into()],
        ..Known::default()
    };
    if let Err(errors) = scenario::load(&fuzz::file("fuzzed.yaml", content), &known) {
        assert!(!errors.is_empty());
        for error in errors {
            // Told to the end: what points at a line must find it.
            let _ = error.to_string();
        }
    }
});

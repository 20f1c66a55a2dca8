//! Input: user-data, compressed or not. Checking it must not fail, and each problem must have a message.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for problem in cloud_init::check(bytes) {
        assert_ne!(problem.line, Some(0), "{problem}");
        assert!(!problem.to_string().is_empty());
    }
});

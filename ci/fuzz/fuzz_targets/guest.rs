//! Whatever a guest says: nothing of it acts on the terminal, the page, the stream of events or a parser of
//! the JUnit XML.
#![no_main]

use libfuzzer_sys::fuzz_target;
use report::guest::of_guest;

fuzz_target!(|said: &[u8]| {
    let reports = of_guest(said, fuzz::folder()).expect("reports can be made");
    reports.check().expect("nothing acts on anything");
});

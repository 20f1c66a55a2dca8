//! Messages on the console.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Prints a message on the console and in this program's log.
pub(crate) fn report(text: &str) {
    eprintln!("{text}");
    print(&format!("cloud-init: {text}"));
}

/// Prints a line on the console in one write, so that it does not mix with other lines.
pub(crate) fn print(line: &str) {
    if let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") {
        let _ = console.write_all(format!("{line}\r\n").as_bytes());
    }
}

//! Messages of this program.

use sys::report::Report;

/// Prints a message on the console and in the container's log.
pub(crate) fn warn(message: &str) {
    let line = format!("rancher: userdocker: {message}");
    eprintln!("{line}");
    Report::new().print(&line);
}

//! Reads what a cloud tells the machine and makes configuration, files and a script out of it.
//!
//! The datasources that the configuration names are tried in order; the first that answers wins. What
//! user-data says that is not understood is reported and left out, and what is understood holds:
//! user-data with a mistake in it must not lock people out. What was said last holds until something
//! else is said.
//!
//! It is done in two places. `save` is a system container that runs before the console: it asks what
//! answers at once (volumes, files) and keeps what it hears. In the console, where there are people's
//! folders and accounts, `write` writes the files before anything else starts, and `finish` does in
//! the background what may take long: it asks what is reached over the network, runs the script, and
//! where nobody said anything waits for a volume that comes late.
//! So no cloud that does not answer keeps anybody from the console.
//!
//! Not its job: acting on the configuration. The console and the supervisor do.

mod apply;
mod files;
mod kept;
mod people;
mod problem;
mod save;
mod source;
mod status;
mod user_data;
mod watch;

use std::process::ExitCode;

pub use kept::check;
pub use problem::Problem;
pub use save::run;
pub use source::{Found, Source};
pub use status::{Status, Turn};
pub use user_data::{Content, File, Group, Kind, Owner, Told, User, parse};

/// Where this boot's part of it lies, in memory.
const RUN: &str = "/run/cloud-init";

/// The program `cloud-init`, by the arguments of this process.
pub fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("save") => save::save(),
        Some("write") => apply::write(),
        Some("finish") => apply::finish(),
        _ => Err("it is started by the system; people use `rancherctl cloud-init`".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says it where people look: the console, and this program's log.
fn say(text: &str) {
    eprintln!("{text}");
    tell_console(&format!("cloud-init: {text}"));
}

/// A line on the console, in one write, so that no other comes between.
fn tell_console(line: &str) {
    if let Ok(mut console) = std::fs::OpenOptions::new().write(true).open("/dev/console") {
        let _ = std::io::Write::write_all(&mut console, format!("{line}\r\n").as_bytes());
    }
}

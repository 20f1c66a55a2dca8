//! The program `cloud-init`.

use std::process::ExitCode;

use crate::{apply, console, fetch};

/// The program `cloud-init`; the arguments of this process select the stage.
pub fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("save") => fetch::save(),
        Some("write") => apply::write(),
        Some("finish") => apply::finish(),
        _ => Err("the system starts this program; hint: use `rancherctl cloud-init`".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::report(&error);
            ExitCode::FAILURE
        }
    }
}

//! The console's first program: makes the configured people able to log in, then keeps the logins
//! running.
//!
//! It is mounted into whatever image the console is, so another console needs nothing but the
//! programs it starts.

mod host_keys;
mod logins;
mod users;

use std::process::ExitCode;

use config::Config;

use crate::respawn::keep;

/// Sets the console up and keeps it; a part that cannot be set up is reported and left out.
pub fn main() -> ExitCode {
    let loaded = config::load_machine();
    let mut report = crate::report::Report::new();
    for problem in &loaded.problems {
        report.say(&format!("rancher: {problem}"));
    }
    for (what, done) in set_up(&loaded.config) {
        if let Err(error) = done {
            report.say(&format!("rancher: console: {what}: {error}"));
        }
    }
    match keep(&logins::programs(&loaded.config), || ()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.say(&format!("rancher: console: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Each part by itself: one that fails must not lock out those whom the others let in.
fn set_up(config: &Config) -> [(&'static str, std::io::Result<()>); 4] {
    [
        ("home", users::home()),
        ("password", users::password(config.password.as_deref())),
        (
            "authorized keys",
            users::authorized_keys(&config.ssh_authorized_keys),
        ),
        ("host keys", host_keys::lay_out(&config.ssh.keys)),
    ]
}

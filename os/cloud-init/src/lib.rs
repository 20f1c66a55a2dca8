//! Reads what a cloud tells the machine and makes a layer of its configuration out of it.
//!
//! The datasources that the configuration names are tried in order; the first that is there wins.
//! What user-data says that is not understood is reported and left out, and what is understood holds:
//! user-data with a mistake in it must not lock people out.
//!
//! Not its job: acting on the configuration. The console reads the keys when it starts.

mod config_drive;
mod user_data;

use std::path::Path;
use std::process::ExitCode;

/// One run over all datasources.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let config = config::load_machine().config;
    let Some((source, text)) = first_available(&config.cloud_init.datasources)? else {
        return Ok(());
    };
    let told =
        user_data::parse(&text).map_err(|error| format!("user-data of {source}: {error}"))?;
    for problem in &told.problems {
        say(&format!("user-data of {source}: {problem}; it is ignored"));
    }
    let path = Path::new(config::FOLDER).join(config::CLOUD_LAYER);
    config::write_layer(&path, &told.layer).map_err(|error| format!("{}: {error}", path.display()))
}

/// User-data of the first datasource that is there, with the name of that source.
fn first_available(sources: &[String]) -> Result<Option<(&str, String)>, String> {
    for source in sources {
        let text = match source.split_once(':') {
            Some(("configdrive", mount_point)) => config_drive::user_data(mount_point)?,
            _ => {
                say(&format!(
                    "datasource `{source}`: known is `configdrive:PATH`; it is ignored"
                ));
                None
            }
        };
        if let Some(text) = text {
            return Ok(Some((source, text)));
        }
    }
    Ok(None)
}

/// Says it where people look: the console, and this program's log.
fn say(text: &str) {
    eprintln!("{text}");
    if let Ok(mut console) = std::fs::OpenOptions::new().write(true).open("/dev/console") {
        let _ =
            std::io::Write::write_all(&mut console, format!("cloud-init: {text}\r\n").as_bytes());
    }
}

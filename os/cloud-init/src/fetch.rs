//! Queries the datasources and saves the first answer.

use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::AddWatchFlags;

use crate::datasource::{Answer, Datasource};
use crate::saved::Saved;
use crate::status::{Progress, Status};
use crate::{Kind, console, files, watch};

/// This program's folder of the current boot, in memory.
const RUN: &str = "/run/cloud-init";

/// How long a volume may still take to appear when logins are possible; the same as the timeout of a
/// datasource on the network.
const LATE_VOLUME_TIMEOUT: Duration = Duration::from_secs(30);

/// The result of querying the datasources.
enum Query {
    /// The datasource of this name answered.
    Answered(String, Answer),
    /// The next datasource is on the network.
    NeedsNetwork,
    /// No datasource has data.
    NoAnswer,
}

/// The stages that this program must still run in the console, as its arguments.
const TO_DO: &str = "/run/cloud-init/to-do";

/// The stage `save`, before the console starts: queries the datasources that answer at once.
pub(crate) fn save() -> Result<(), String> {
    std::fs::create_dir_all(RUN).map_err(|error| format!("{RUN}: {error}"))?;
    let config = config::load_machine().config;
    let mut status = Status::default();
    let query = query(&config.cloud_init.datasources, true, &mut status);
    let result = save_answer(query, &mut status);
    let user_data = Saved::of_machine().user_data();
    files::write_early(&user_data);
    let has_accounts = !user_data.users.is_empty() || !user_data.groups.is_empty();
    let has_work = has_accounts || !user_data.files.is_empty() || user_data.has_commands();
    let stages = match status.progress {
        _ if has_work => "write finish",
        Progress::Querying => "finish",
        Progress::NoAnswer if !volumes(&config.cloud_init.datasources).is_empty() => "finish",
        _ => return result,
    };
    std::fs::write(TO_DO, stages).map_err(|error| format!("{TO_DO}: {error}"))?;
    result
}

/// Queries all datasources.
pub(crate) fn fetch_all(status: &mut Status) -> Result<(), String> {
    let config = config::load_machine().config;
    let query = query(&config.cloud_init.datasources, false, status);
    save_answer(query, status)
}

/// Waits for a volume that appears late.
pub(crate) fn fetch_late(status: &mut Status) -> Result<(), String> {
    let config = config::load_machine().config;
    let volumes = volumes(&config.cloud_init.datasources);
    if volumes.is_empty() {
        return Ok(());
    }
    let check = || match query(&volumes, true, status) {
        Query::Answered(name, answer) => Some(Query::Answered(name, answer)),
        Query::NeedsNetwork | Query::NoAnswer => None,
    };
    // Only new entries: the attributes of terminals change at each login.
    let changes = AddWatchFlags::empty();
    let query = watch::wait_for(Path::new("/dev"), changes, LATE_VOLUME_TIMEOUT, check)
        .map_err(|error| format!("/dev: {error}"))?;
    save_answer(query.unwrap_or(Query::NoAnswer), status)
}

/// The datasources that are volumes.
fn volumes(datasources: &[String]) -> Vec<String> {
    datasources
        .iter()
        .filter(|name| Datasource::parse(name, "").is_ok_and(|one| one.is_volume()))
        .cloned()
        .collect()
}

/// Queries these datasources, or the ones in the configuration, and applies the answer.
///
/// # Errors
/// The answer cannot be saved.
pub fn run(datasources: &[String]) -> Result<Status, String> {
    std::fs::create_dir_all(RUN).map_err(|error| format!("{RUN}: {error}"))?;
    let config = config::load_machine().config;
    let datasources = match datasources {
        [] => &config.cloud_init.datasources,
        given => given,
    };
    let mut status = Status::default();
    let query = query(datasources, false, &mut status);
    let answered = matches!(query, Query::Answered(..));
    save_answer(query, &mut status)?;
    if answered {
        crate::apply::all(&mut status)?;
    }
    Ok(status)
}

/// Queries the datasources in order. With `local_only` it stops before the first one on the network.
fn query(datasources: &[String], local_only: bool, status: &mut Status) -> Query {
    // Without /proc there are no arguments to read.
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    for name in datasources {
        let answer = match Datasource::parse(name, &cmdline) {
            Ok(datasource) if local_only && !datasource.is_local() => return Query::NeedsNetwork,
            Ok(datasource) => datasource.query(),
            Err(error) => Err(error),
        };
        match answer {
            Ok(Some(answer)) => return Query::Answered(name.clone(), answer),
            Ok(None) => (),
            Err(error) => status.datasource_error(name, &error),
        }
    }
    Query::NoAnswer
}

/// Saves the answer and updates the status.
fn save_answer(query: Query, status: &mut Status) -> Result<(), String> {
    let (name, answer) = match query {
        Query::Answered(name, answer) => (name, answer),
        Query::NeedsNetwork => {
            status.progress = Progress::Querying;
            status.write();
            return Ok(());
        }
        Query::NoAnswer => {
            status.progress = Progress::NoAnswer;
            status.write();
            return Ok(());
        }
    };
    for error in &answer.problems {
        status.datasource_error(&name, error);
    }
    status.progress = Progress::Answered;
    status.datasource = Some(name);
    let saved = Saved::of_machine().save(&answer);
    if let Ok(user_data) = &saved {
        status.user_data = user_data.kind;
        let keys = user_data.layer.get("ssh_authorized_keys");
        status.keys = keys.and_then(|keys| keys.as_sequence()).map_or(0, Vec::len);
        for problem in &user_data.problems {
            status.problem(problem.clone());
        }
        if user_data.kind == Kind::Broken {
            console::report(
                "the user-data is ignored; the saved user-data and the keys of the metadata apply",
            );
        }
    }
    status.write();
    saved.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_config_drives_and_nocloud_volumes() {
        let names = [
            "configdrive:/m",
            "cmdline",
            "floppy",
            "file:/home/x",
            "nocloud",
            "ec2",
        ];
        let found = volumes(&names.map(str::to_owned));
        assert_eq!(found, ["configdrive:/m", "nocloud"]);
    }
}

//! Asking the datasources, and keeping what the first one says that says something.

use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::AddWatchFlags;

use crate::kept::Kept;
use crate::status::{Status, Turn};
use crate::{Found, Kind, RUN, Source, files, say, watch};

/// How long a volume may still take to come when people can log in; a cloud over the network has as
/// long.
const LATE: Duration = Duration::from_secs(30);

/// What the first datasources had to say.
enum Heard {
    /// One said something.
    From(String, Found),
    /// The next one is reached over the network.
    Later,
    /// None said anything.
    Nothing,
}

/// What is left to do in the console: the words that this program is called with there.
const TO_DO: &str = "/run/cloud-init/to-do";

/// Before the console: asks what answers at once.
pub(crate) fn save() -> Result<(), String> {
    std::fs::create_dir_all(RUN).map_err(|error| format!("{RUN}: {error}"))?;
    let config = config::load_machine().config;
    let mut status = Status::default();
    let heard = ask(&config.cloud_init.datasources, true, &mut status);
    let kept = take(heard, &mut status);
    let kept_data = Kept::of_machine().told();
    files::write_early(&kept_data);
    let has_people = !kept_data.users.is_empty() || !kept_data.groups.is_empty();
    let has_work = has_people || !kept_data.files.is_empty() || kept_data.has_commands();
    let words = match status.turn {
        _ if has_work => "write finish",
        Turn::Asking => "finish",
        Turn::NoAnswer if !volumes(&config.cloud_init.datasources).is_empty() => "finish",
        _ => return kept,
    };
    std::fs::write(TO_DO, words).map_err(|error| format!("{TO_DO}: {error}"))?;
    kept
}

/// In the background: asks all of them.
pub(crate) fn save_all(status: &mut Status) -> Result<(), String> {
    let config = config::load_machine().config;
    let heard = ask(&config.cloud_init.datasources, false, status);
    take(heard, status)
}

/// In the background, where nobody said anything: waits for a volume that comes late.
pub(crate) fn save_late(status: &mut Status) -> Result<(), String> {
    let config = config::load_machine().config;
    let volumes = volumes(&config.cloud_init.datasources);
    if volumes.is_empty() {
        return Ok(());
    }
    let look = || match ask(&volumes, true, status) {
        Heard::From(name, found) => Some(Heard::From(name, found)),
        Heard::Later | Heard::Nothing => None,
    };
    // Not with what becomes of terminals, each time that somebody logs in.
    let changes = AddWatchFlags::empty();
    let heard =
        watch::look(Path::new("/dev"), changes, LATE, look).map_err(|e| format!("/dev: {e}"))?;
    take(heard.unwrap_or(Heard::Nothing), status)
}

/// Those of the datasources that are on disks.
fn volumes(datasources: &[String]) -> Vec<String> {
    let is_volume = |name: &&String| Source::parse(name, "").is_ok_and(|one| one.is_volume());
    datasources.iter().filter(is_volume).cloned().collect()
}

/// Does all of it now with these datasources, or with those of the configuration.
///
/// # Errors
/// What was heard cannot be kept.
pub fn run(datasources: &[String]) -> Result<Status, String> {
    std::fs::create_dir_all(RUN).map_err(|error| format!("{RUN}: {error}"))?;
    let config = config::load_machine().config;
    let datasources = match datasources {
        [] => &config.cloud_init.datasources,
        given => given,
    };
    let mut status = Status::default();
    let heard = ask(datasources, false, &mut status);
    let answered = matches!(heard, Heard::From(..));
    take(heard, &mut status)?;
    if answered {
        crate::apply::all(&mut status)?;
    }
    Ok(status)
}

/// Asks the datasources in order, those after one that is reached over the network only when it may
/// take a while.
fn ask(datasources: &[String], at_once: bool, status: &mut Status) -> Heard {
    // Without /proc there are no arguments to read.
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    for name in datasources {
        let answer = match Source::parse(name, &cmdline) {
            Ok(source) if at_once && !source.is_local() => return Heard::Later,
            Ok(source) => source.ask(),
            Err(why) => Err(why),
        };
        match answer {
            Ok(Some(found)) => return Heard::From(name.clone(), found),
            Ok(None) => (),
            Err(why) => status.trouble(name, &why),
        }
    }
    Heard::Nothing
}

/// Keeps what was heard.
fn take(heard: Heard, status: &mut Status) -> Result<(), String> {
    let (name, found) = match heard {
        Heard::From(name, found) => (name, found),
        Heard::Later => {
            status.turn = Turn::Asking;
            status.write();
            return Ok(());
        }
        Heard::Nothing => {
            status.turn = Turn::NoAnswer;
            status.write();
            return Ok(());
        }
    };
    for why in &found.problems {
        status.trouble(&name, why);
    }
    status.turn = Turn::Answered;
    status.datasource = Some(name);
    let kept = Kept::of_machine().keep(&found);
    if let Ok(told) = &kept {
        status.user_data = told.kind;
        let keys = told.layer.get("ssh_authorized_keys");
        status.keys = keys.and_then(|keys| keys.as_sequence()).map_or(0, Vec::len);
        told.problems
            .iter()
            .for_each(|problem| status.problem(problem.clone()));
        if told.kind == Kind::Broken {
            say("nothing of the user-data holds; what was said before does, and keys beside it");
        }
    }
    status.write();
    kept.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_volumes_may_come_late() {
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

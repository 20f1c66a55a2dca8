//! Collects the files of the machine that a scenario lists for the evidence of a failed trial.

use std::path::Path;
use std::time::Duration;

use crate::evidence::Evidence;
use crate::session::{Deadline, Session, scaled};
use base::shell;
use machine::MachineError;
use scenario::Account;

/// Their folder in the evidence.
const FOLDER: &str = "collected";
/// The size limit of each file in bytes.
const MOST: usize = 16 << 20;
/// The timeout for all files together, on the reference host: the verdict waits for them.
const LIMIT: Duration = Duration::from_secs(20);

/// Downloads files into the evidence. Returns a message for each file that cannot be collected.
pub(super) async fn collect(
    files: &[String],
    session: &mut Session<'_>,
    evidence: &Evidence,
) -> Vec<String> {
    if files.is_empty() {
        return Vec::new();
    }
    if session.machine.has_exited() || session.is_unreachable() {
        return vec!["no files are collected: the machine is off or unreachable".into()];
    }
    let limit = Deadline::within(scaled(LIMIT));
    // The connection may be the cause of the failure.
    session.forget();
    let mut missing = Vec::new();
    for path in files {
        let machine = std::sync::Arc::clone(&session.machine);
        let fetched = async { Ok::<_, MachineError>(fetch(path, session, &limit).await) };
        let kept = match machine.fail_fast(fetched).await {
            Ok(Ok(bytes)) => keep(path, &bytes, evidence).map_err(|error| error.to_string()),
            Ok(Err(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = kept {
            missing.push(format!("cannot collect {path}: {why}"));
        }
    }
    missing
}

async fn fetch(path: &str, session: &mut Session<'_>, limit: &Deadline) -> Result<Vec<u8>, String> {
    let command = format!("head -c {MOST} -- {}", shell::quote(path));
    let output = session.run(&command, Account::Root, limit).await;
    let output = output.map_err(|fault| fault.what)?;
    match output.exit {
        Some(0) => Ok(output.stdout),
        _ => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

fn keep(path: &str, bytes: &[u8], evidence: &Evidence) -> std::io::Result<()> {
    let folder = evidence.file(FOLDER);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name(path)), bytes)
}

/// Turns a path into a file name.
fn name(path: &str) -> String {
    Path::new(path)
        .components()
        .filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect::<Vec<_>>()
        .join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_joins_the_parts_of_a_path() {
        assert_eq!(name("/var/log/system.log"), "var_log_system.log");
        assert_eq!(name("/../etc/./passwd"), "etc_passwd");
    }
}

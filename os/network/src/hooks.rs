//! Commands of the configuration before and after an interface is up.

use std::process::{Command, Stdio};

/// Runs commands, one after another, for an interface; what fails is told, and keeps no other back.
pub fn run(interface: &str, commands: &[String], tell: &mut impl FnMut(String)) {
    for line in commands {
        if let Err(why) = one(interface, line) {
            tell(format!("{interface}: `{line}`: {why}"));
        }
    }
}

fn one(interface: &str, line: &str) -> Result<(), String> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env("iface", interface);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().map(str::to_owned);
    Err(last.unwrap_or_else(|| output.status.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_know_their_interface_and_failures_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("said");
        let first = format!("echo $iface > {}", file.display());
        let mut told = Vec::new();
        let failing = [
            "echo broken >&2; exit 3".to_owned(),
            "exit 4".to_owned(),
            first,
        ];
        run("eth7", &failing, &mut |error| told.push(error));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "eth7\n");
        assert_eq!(told[0], "eth7: `echo broken >&2; exit 3`: broken");
        assert!(told[1].ends_with("exit status: 4") && told.len() == 2);
    }
}

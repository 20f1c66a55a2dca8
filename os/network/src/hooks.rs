//! Runs the configured commands before and after an interface is up.

use std::process::{Command, Stdio};

/// Runs commands for an interface in order. A failed command is reported, and the others still run.
pub(crate) fn run(interface: &str, commands: &[String], report_error: &mut impl FnMut(String)) {
    for command in commands {
        if let Err(error) = run_one(interface, command) {
            report_error(format!("{interface}: `{command}`: {error}"));
        }
    }
}

fn run_one(interface: &str, line: &str) -> Result<(), String> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env("iface", interface);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.trim().lines().last().map(str::to_owned);
    Err(last.unwrap_or_else(|| output.status.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_sets_iface_and_reports_failed_commands() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("output");
        let mut errors = Vec::new();
        let commands = [
            "echo broken >&2; exit 3".to_owned(),
            "exit 4".to_owned(),
            format!("echo $iface > {}", file.display()),
        ];
        run("eth7", &commands, &mut |error| errors.push(error));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "eth7\n");
        assert_eq!(errors[0], "eth7: `echo broken >&2; exit 3`: broken");
        assert!(errors[1].ends_with("exit status: 4") && errors.len() == 2);
    }
}

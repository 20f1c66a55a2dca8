//! Turns the commands of `runcmd` and `bootcmd` into a script.
//!
//! As in cloud-init, all commands are in one script, so `cd` and variables affect the following commands.

use config::verbatim;
use serde_yaml::Value;

use super::lines::line_at;
use crate::Problem;

/// The script of a list of commands. A text is a line of the script; a list is a program and its
/// arguments.
pub(super) fn read(text: &str, key: &str, value: &Value) -> (Option<Vec<u8>>, Vec<Problem>) {
    let commands = match value {
        Value::Sequence(list) => list.as_slice(),
        Value::String(_) => std::slice::from_ref(value),
        Value::Null => &[],
        _ => {
            let message = format!("ignored: `{key}` must be a list of commands");
            return (None, vec![Problem::at(line_at(text, key, None), message)]);
        }
    };
    let (mut script, mut problems) = (String::from("#!/bin/sh\n"), Vec::new());
    for (number, command) in commands.iter().enumerate() {
        let line = line_at(text, key, Some(number));
        match shell(command) {
            Ok(command) => script.push_str(&with_report(key, line, &command)),
            Err(error) => {
                let message = format!("ignored: a command of `{key}`: {error}");
                problems.push(Problem::at(line, message));
            }
        }
    }
    let is_empty = commands.len() == problems.len();
    ((!is_empty).then(|| script.into_bytes()), problems)
}

fn shell(command: &Value) -> Result<String, &'static str> {
    match command {
        Value::Sequence(words) => {
            let words = words.iter().map(verbatim::text);
            let words: Option<Vec<_>> = words.map(|word| Some(quoted(&word?))).collect();
            words
                .filter(|words| !words.is_empty())
                .map(|words| words.join(" "))
                .ok_or("the list is empty or has an item that is not text")
        }
        Value::Mapping(_) => {
            Err("YAML reads it as a mapping because of `: `; hint: put the whole command in quotes")
        }
        other => verbatim::text(other).ok_or("it is empty"),
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A command, followed by a message if it fails. The following commands run in any case.
fn with_report(key: &str, line: Option<usize>, command: &str) -> String {
    let location = line.map_or_else(String::new, |line| format!(", line {line}"));
    format!(
        "{command}\n_status=$?; [ $_status = 0 ] || echo '{key}{location}: failed with exit status '$_status\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(list: &str) -> (String, Vec<Problem>) {
        let text = format!("#cloud-config\nruncmd:\n{list}");
        let value = verbatim::parse(&text).unwrap();
        let (script, problems) = read(&text, "runcmd", &value["runcmd"]);
        let script = String::from_utf8(script.unwrap_or_default()).unwrap();
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .output();
        (String::from_utf8(output.unwrap().stdout).unwrap(), problems)
    }

    #[test]
    fn commands_run_in_one_shell_and_failures_are_reported_with_their_lines() {
        let (output, problems) = ran(
            "- cd /tmp; X=1\n- [echo, \"it's $X\", 1.10, 007]\n- echo $X in $PWD\n- sh -c 'exit 3'\n\
             - |\n  cat <<END\n  a: b\n  END\n- echo last\n",
        );
        assert_eq!(problems, []);
        assert_eq!(
            output,
            "it's $X 1.10 007\n1 in /tmp\nruncmd, line 6: failed with exit status 3\na: b\nlast\n"
        );
    }

    #[test]
    fn invalid_commands_are_reported_and_the_others_run() {
        let (output, problems) = ran("- echo key: value\n- echo hello\n- [[a], b]\n-\n");
        assert_eq!(output, "hello\n");
        let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [Some(3), Some(5), Some(6)], "{problems:?}");
        assert!(problems[0].message.contains("in quotes"), "{}", problems[0]);
    }
}

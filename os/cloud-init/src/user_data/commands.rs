//! `runcmd` and `bootcmd`: commands that become a script.
//!
//! As in cloud-init they are lines of one script, so that `cd` and variables hold for what follows.

use config::written;
use serde_yaml::Value;

use super::directives::line_at;
use crate::Problem;

/// The script of a list of commands; a text is a line, a list a program and its arguments.
pub(super) fn read(text: &str, key: &str, value: &Value) -> (Option<Vec<u8>>, Vec<Problem>) {
    let commands = match value {
        Value::Sequence(list) => list.as_slice(),
        Value::String(_) => std::slice::from_ref(value),
        Value::Null => &[],
        _ => {
            let what = format!("`{key}` is not a list of commands; it is ignored");
            return (None, vec![Problem::at(line_at(text, key, None), what)]);
        }
    };
    let (mut script, mut problems) = (String::from("#!/bin/sh\n"), Vec::new());
    for (number, command) in commands.iter().enumerate() {
        let line = line_at(text, key, Some(number));
        match shell(command) {
            Ok(command) => script.push_str(&with_report(key, line, &command)),
            Err(why) => {
                let what = format!("`{key}`: {why}; the command is left out");
                problems.push(Problem::at(line, what));
            }
        }
    }
    let is_empty = commands.len() == problems.len();
    ((!is_empty).then(|| script.into_bytes()), problems)
}

fn shell(command: &Value) -> Result<String, &'static str> {
    match command {
        Value::Sequence(words) => {
            let words = words.iter().map(written::text);
            let words: Option<Vec<_>> = words.map(|word| Some(quoted(&word?))).collect();
            words
                .filter(|words| !words.is_empty())
                .map(|words| words.join(" "))
                .ok_or("it is no list of words")
        }
        Value::Mapping(_) => {
            Err("it is a mapping, for there is `: ` in it; hint: put the whole command in quotes")
        }
        other => written::text(other).ok_or("it is empty"),
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A command, and a word about one that fails; the others run all the same.
fn with_report(key: &str, line: Option<usize>, command: &str) -> String {
    let place = line.map_or_else(String::new, |line| format!(", line {line}"));
    format!(
        "{command}\n_status=$?; [ $_status = 0 ] || echo '{key}{place}: it ended with status '$_status\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(list: &str) -> (String, Vec<Problem>) {
        let text = format!("#cloud-config\nruncmd:\n{list}");
        let value = written::read(&text).unwrap();
        let (script, problems) = read(&text, "runcmd", &value["runcmd"]);
        let script = String::from_utf8(script.unwrap_or_default()).unwrap();
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .output();
        (String::from_utf8(output.unwrap().stdout).unwrap(), problems)
    }

    #[test]
    fn commands_run_in_one_shell_and_those_that_fail_are_told_with_their_line() {
        let (said, problems) = ran(
            "- cd /tmp; X=1\n- [echo, \"it's $X\", 1.10, 007]\n- echo $X in $PWD\n- sh -c 'exit 3'\n\
             - |\n  cat <<END\n  a: b\n  END\n- echo last\n",
        );
        assert_eq!(problems, []);
        assert_eq!(
            said,
            "it's $X 1.10 007\n1 in /tmp\nruncmd, line 6: it ended with status 3\na: b\nlast\n"
        );
    }

    #[test]
    fn what_is_no_command_is_told_and_the_others_run() {
        let (said, problems) = ran("- echo key: value\n- echo hello\n- [[a], b]\n-\n");
        assert_eq!(said, "hello\n");
        let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [Some(3), Some(5), Some(6)], "{problems:?}");
        assert!(problems[0].what.contains("in quotes"), "{}", problems[0]);
    }
}

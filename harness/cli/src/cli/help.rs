//! The command with its help, whose list of variables comes from the options.

use clap::{Command, CommandFactory as _};

use harness::environment::{self, Variable};

use super::options::Options;

const STATUS: &str = "\
Exit status:
  0  success
  1  a trial failed, or a check found a problem
  2  the command line is invalid
  3  an error prevented a verdict: no QEMU, a failed build, not enough resources
";

const EXAMPLES: &str = "\
Examples:
  harness run                          boot the OS with its console in this terminal
  harness run --background && harness ssh -- docker info
  harness test two-dockers             run one scenario
  harness check                        validate all scenarios without booting";

/// The command.
pub(super) fn command() -> Command {
    let command = Options::command();
    let variables = environment::variables(&command);
    let width = variables.keys().map(String::len).max().unwrap_or_default();
    let line = |(name, variable): (&String, &Variable)| {
        format!("  {name:width$}  like {}\n", variable.option)
    };
    let lines: String = variables.iter().map(line).collect();
    command.after_help(format!(
        "{STATUS}\nEnvironment; an option takes precedence over its variable:\n{lines}  \
         {:width$}  disable colours\n\n{EXAMPLES}",
        "NO_COLOR=1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readme_has_the_variables_of_the_options() {
        let rows = environment::variables(&Options::command());
        let rows = rows.into_iter().map(|(name, variable)| {
            let Variable { option, about, .. } = variable;
            format!("| `{name}` | `{option}` | {about} |\n")
        });
        let rows: String = rows.collect();
        let readme = harness::project::find().root().join("harness/README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        assert!(
            readme.contains(&rows),
            "harness/README.md must have these rows:\n{rows}"
        );
    }

    #[test]
    fn help_names_every_variable_once() {
        let help = command().render_long_help().to_string();
        for name in environment::variables(&Options::command()).keys() {
            assert_eq!(help.matches(&format!("  {name} ")).count(), 1, "{name}");
        }
    }

    #[test]
    fn variable_has_the_same_meaning_for_each_command() {
        command().debug_assert();
        for (name, variable) in environment::variables(&Options::command()) {
            assert!(variable.option.starts_with("--"), "{name}");
            assert!(!variable.about.is_empty(), "{name}");
        }
    }
}

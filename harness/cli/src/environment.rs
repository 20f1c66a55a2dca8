//! Options that the environment sets, too: clap declares an option and its variable in one place.
//!
//! - An empty variable counts as not set.
//! - An option takes precedence over its variable.
//! - `conflicts_with` and `requires` apply to the command line only, because a variable is set for many commands.
//! - An error about the value of a variable names the variable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable::Reset;
use clap::builder::{Arg, Command};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Error, Parser};

/// Parses a command line; `command` is that of `P`, maybe with more texts.
///
/// # Errors
/// The command line or a variable is invalid, or help was requested.
pub fn parse<P: Parser>(
    command: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<P, Error> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let mut with_variables = each_argument(command.clone(), &without_relations);
    let parsed = with_variables.try_get_matches_from_mut(&arguments);
    let parsed = parsed.map_err(|error| name_variable(&with_variables, error))?;
    each_argument(command.clone(), &|argument: Arg| argument.env(Reset))
        .try_get_matches_from(arguments)?;
    P::from_arg_matches(&parsed)
}

/// The options that the environment sets, for programs whose command line belongs to a test framework.
///
/// # Errors
/// A variable is invalid.
pub fn options<A: Args>() -> Result<A, Error> {
    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only<A: Args> {
        #[command(flatten)]
        options: A,
    }
    parse::<Only<A>>(
        &<Only<A> as clap::CommandFactory>::command(),
        [OsString::new()],
    )
    .map(|only| only.options)
}

/// Applies `change` to each option of a command and of its subcommands.
fn each_argument(command: Command, change: &dyn Fn(Arg) -> Arg) -> Command {
    command
        .mut_args(change)
        .mut_subcommands(|command| each_argument(command, change))
}

fn without_relations(argument: Arg) -> Arg {
    let argument = argument
        .conflicts_with(Reset)
        .requires(Reset)
        .hide_env_values(true);
    let is_empty = value(&argument).is_some_and(|value| value.is_empty());
    if is_empty {
        argument.env(Reset)
    } else {
        argument
    }
}

/// The value of the variable of an option.
fn value(argument: &Arg) -> Option<OsString> {
    argument.get_env().and_then(std::env::var_os)
}

/// Replaces the option in an error by the variable, if the invalid value is that of the variable.
fn name_variable(command: &Command, mut error: Error) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(option), Some(invalid)) = (
        text(ContextKind::InvalidArg),
        text(ContextKind::InvalidValue),
    ) else {
        return error;
    };
    // Not the display of the option: clap completes only the command that was called.
    let option = option.split([' ', '=']).next().map(str::to_owned);
    let is_it = |argument: &&Arg| {
        argument.get_long().map(|long| format!("--{long}")) == option
            && value(argument).is_some_and(|value| *value == *invalid)
    };
    let all = arguments(command);
    let variable = all.iter().map(|(_, argument)| *argument).find(is_it);
    if let Some(variable) = variable.and_then(Arg::get_env) {
        let variable = variable.to_string_lossy().into_owned();
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// All options of a command and its subcommands, each with the name of the command.
fn arguments(command: &Command) -> Vec<(&str, &Arg)> {
    let own = command.get_arguments();
    let own = own.map(|argument| (command.get_name(), argument));
    own.chain(command.get_subcommands().flat_map(arguments))
        .collect()
}

/// A variable and what it sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// The option, for example `--keep`.
    pub option: String,
    /// The commands that have the option.
    pub commands: Vec<String>,
    /// What the option does: the first clause of its help.
    pub about: String,
}

/// The variables of all options that are not hidden, by name.
pub fn variables(command: &Command) -> BTreeMap<String, Variable> {
    let mut found = BTreeMap::<String, Variable>::new();
    for (command, argument) in arguments(command) {
        let name = argument.get_env().map(OsStr::to_string_lossy);
        let (Some(name), false) = (name, argument.is_hide_set()) else {
            continue;
        };
        let variable = found.entry(name.into_owned()).or_default();
        variable.commands.push(command.to_owned());
        variable.option = format!("--{}", argument.get_long().unwrap_or_default());
        let help = argument.get_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let first = help.split([':', ';', '[']).next().unwrap_or_default();
        variable.about = first.trim().to_owned();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[derive(Debug, Parser)]
    struct Tea {
        /// How many lumps
        #[arg(long, env = "PATH", conflicts_with = "milk")]
        sugar: Option<String>,
        #[arg(long)]
        milk: bool,
        /// How long
        #[arg(long, env = "CARGO_MANIFEST_DIR")]
        minutes: Option<u32>,
        #[command(subcommand)]
        next: Option<Next>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Next {
        /// Pour it
        Pour {
            /// How much
            #[arg(long, env = "CARGO_PKG_NAME")]
            ounces: Option<u32>,
        },
        /// Drink it
        Drink,
    }

    fn tea(arguments: &[&str]) -> Result<Tea, Error> {
        let all = ["tea"].iter().chain(arguments).map(OsString::from);
        parse(&Tea::command(), all)
    }

    #[test]
    fn parse_names_the_variable_when_its_value_is_invalid() {
        let error = tea(&[]).unwrap_err().to_string();
        assert!(
            error.contains("for 'CARGO_MANIFEST_DIR': invalid digit"),
            "{error}"
        );
        let error = tea(&["--minutes", "3", "pour"]).unwrap_err().to_string();
        assert!(error.contains("'harness' for 'CARGO_PKG_NAME'"), "{error}");
        assert!(tea(&["--minutes", "3", "drink"]).is_ok());
        let error = tea(&["--minutes", "few"]).unwrap_err().to_string();
        assert!(error.contains("for '--minutes <MINUTES>'"), "{error}");
    }

    #[test]
    fn options_take_precedence_and_conflict_only_with_each_other() {
        let tea_of = |arguments: &[&str]| tea(&[&["--minutes", "3"], arguments].concat());
        let of_environment = tea_of(&["--milk"]).unwrap();
        assert!(of_environment.milk && of_environment.sugar == std::env::var("PATH").ok());
        assert_eq!(tea_of(&["--sugar", "2"]).unwrap().sugar.unwrap(), "2");
        assert!(tea_of(&["--sugar", "2", "--milk"]).is_err());
    }

    #[test]
    fn variables_have_their_option_and_its_help() {
        let found = variables(&Tea::command());
        let sugar = Variable {
            option: "--sugar".into(),
            commands: vec!["harness".into()],
            about: "How many lumps".into(),
        };
        assert_eq!(found["CARGO_PKG_NAME"].commands, ["pour"]);
        assert_eq!(found["PATH"], sugar);
    }
}

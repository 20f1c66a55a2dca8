//! The subcommands of `rancherctl config`.

use std::path::PathBuf;

use clap::Subcommand;
use config::{Loaded, Store};

use super::{draft, exchange, values};

/// `rancherctl config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a value, lists and mappings as YAML
    Get {
        /// The key, such as `state.dev`
        key: String,
    },
    /// Set a value; it applies from the next boot
    Set {
        /// The key, such as `state.dev`
        key: String,
        /// The value in YAML: `box`, `true`, `[8.8.8.8, 8.8.4.4]`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        value: Vec<String>,
    },
    /// Reset values to their defaults
    Unset {
        /// The key, such as `state.dev`
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Replace the document; private keys that the new one lacks are preserved
    Import {
        /// Read a file instead of standard input
        #[arg(short, long)]
        input: Option<PathBuf>,
    },
    /// Print the document, without private keys
    Export {
        /// Write a file instead of standard output
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Print all layers merged, including the defaults
        #[arg(long)]
        full: bool,
        /// Include private keys and the password
        #[arg(long)]
        private: bool,
    },
    /// Merge a document into the existing one
    Merge {
        /// Read a file instead of standard input
        #[arg(short, long)]
        input: Option<PathBuf>,
    },
    /// Report errors with file and line
    Validate {
        /// Check a file, or `-` for standard input, instead of the machine's layers
        #[arg(short, long)]
        input: Option<PathBuf>,
    },
    /// Edit the document in $EDITOR, or vi
    Edit,
    /// Print the values that differ from the defaults, and where they are set
    Diff,
}

/// Runs the command.
///
/// # Errors
/// A message to print.
pub(crate) fn run(command: Command) -> Result<(), String> {
    if let Command::Validate { input: Some(input) } = &command {
        return exchange::validate_file(input).map_err(|failure| failure.0);
    }
    crate::caller::must_be_root()?;
    let store = Store::machine();
    let result = match command {
        Command::Get { key } => values::get(&key),
        Command::Set { key, value } => values::set(&store, &key, &value),
        Command::Unset { keys } => values::unset(&store, &keys),
        Command::Import { input } => exchange::import(&store, input.as_deref()),
        Command::Export {
            output,
            full,
            private,
        } => exchange::export(&store, output.as_deref(), full, private),
        Command::Merge { input } => exchange::merge(&store, input.as_deref()),
        Command::Validate { .. } => exchange::validate_machine(&config::load_machine()),
        Command::Edit => draft::edit(&store),
        Command::Diff => values::diff(&config::load_machine()),
    };
    result.map_err(|failure| failure.0)
}

/// An error message.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(format!("{}: {error}", Store::machine().path().display()))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<config::edit::Error> for Failure {
    fn from(error: config::edit::Error) -> Self {
        Self(format!(
            "{}: {error}\nthe document was not changed",
            Store::machine().path().display()
        ))
    }
}

/// Several lines as one error message.
pub(super) fn several<T: ToString>(lines: &[T], end: &str) -> Failure {
    let lines = lines.iter().map(ToString::to_string);
    Failure(lines.chain([end.to_owned()]).collect::<Vec<_>>().join("\n"))
}

/// Prints the settings that have no effect.
pub(super) fn warn(loaded: &Loaded) {
    for warning in loaded.config.placed_warnings(&loaded.layers) {
        eprintln!("warning: {warning}");
    }
}

//! `rancherctl config`: the document that configures the machine.
//!
//! What is changed is the user's document (`rancher.yml`), as a text: comments and order stay. What is
//! read are all layers, as the machine reads them at its next boot.

mod doubts;
mod draft;
mod exchange;
mod values;

use std::path::PathBuf;

use clap::Subcommand;
use config::{Loaded, Store};

/// What is done with the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a value, lists and mappings as YAML
    Get {
        /// Such as `state.dev`
        key: String,
    },
    /// Set a value; it holds from the next boot
    Set {
        /// Such as `state.dev`
        key: String,
        /// As in YAML: `box`, `true`, `[8.8.8.8, 8.8.4.4]`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        value: Vec<String>,
    },
    /// Take values back to their defaults
    Unset {
        /// Such as `state.dev`
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Replace the document; private keys that the new one lacks are kept
    Import {
        /// A file instead of standard input
        #[arg(short, long)]
        input: Option<PathBuf>,
    },
    /// Print the document, without private keys
    Export {
        /// A file instead of standard output
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Print all layers together, defaults too
        #[arg(long)]
        full: bool,
        /// Private keys and the password, too
        #[arg(long)]
        private: bool,
    },
    /// Merge a document into the one that is there
    Merge {
        /// A file instead of standard input
        #[arg(short, long)]
        input: Option<PathBuf>,
    },
    /// Tell what is wrong, with file and line
    Validate {
        /// A file, or `-` for standard input, instead of the machine's layers
        #[arg(short, long)]
        input: Option<PathBuf>,
    },
    /// Change the document in $EDITOR, or vi
    Edit,
    /// Print what is not as the defaults have it, and who says so
    Diff,
}

/// Does it.
///
/// # Errors
/// Told as they are to be printed.
pub fn run(command: Command) -> Result<(), String> {
    if let Command::Validate { input: Some(input) } = &command {
        return exchange::validate_file(input).map_err(|failure| failure.0);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err("only root may do this; try it with `sudo`".into());
    }
    let store = Store::machine();
    let done = match command {
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
    done.map_err(|failure| failure.0)
}

/// What is printed when something fails.
#[derive(Debug)]
struct Failure(String);

type Result<T, E = Failure> = std::result::Result<T, E>;

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
            "{}: {error}\nnothing was changed",
            Store::machine().path().display()
        ))
    }
}

/// Several lines as one failure.
fn several<T: ToString>(lines: &[T], end: &str) -> Failure {
    let lines = lines.iter().map(ToString::to_string);
    Failure(lines.chain([end.to_owned()]).collect::<Vec<_>>().join("\n"))
}

/// Tells what of the configuration does nothing.
fn warn(loaded: &Loaded) {
    for warning in loaded.config.placed_warnings(&loaded.layers) {
        eprintln!("warning: {warning}");
    }
}

//! The commands of the READMEs for the host: they are run, or at least parsed by their program.

use std::path::Path;
use std::process::{Command as Program, Stdio};

use clap::Parser as _;
use harness::artifacts::{self, INITRD_VARIABLE, KERNEL_VARIABLE};
use harness::project;

use super::text::Command;

/// A scenario with one step, for commands that run any trials.
pub(crate) const ANY_SCENARIO: &str = "readme-any";

/// Commands with these prefixes are run, in a tree that also has the scenarios of the READMEs.
const RUN: [&str; 5] = [
    "cargo harness list",
    "cargo harness report --from",
    "cargo harness test --report",
    "mkdir -p mine/",
    "(cd mine &&",
];

/// Commands with these prefixes are only parsed by their program, with the reason.
const ONLY_READ: [(&str, &str); 11] = [
    ("ci/demo", "it builds the OS, and runs a trial of the suite"),
    ("ci/test", "it runs this"),
    ("cargo test", "a phase of ci/test"),
    (
        "HARNESS_REPORT=",
        "the same, and writes what --report writes here",
    ),
    (
        "cargo harness run",
        "port 2222 is one for the host; tests/machine has it on another",
    ),
    ("cargo harness ssh", "the same machine"),
    ("cargo harness stop", "the same machine"),
    ("ssh -p 2222", "the same machine"),
    ("cargo harness test two-dockers", "a trial of the suite"),
    (
        "cargo harness enter",
        "it needs a failed trial; tests/red enters one",
    ),
    ("cargo harness replay", "the same trial"),
];

/// Whether the command is for the machine and not for the host.
pub(crate) fn is_for_the_machine(command: &Command) -> bool {
    let programs = ["rancherctl", "system-docker", "docker"];
    let accounts = ["useradd", "usermod", "userdel"];
    programs.contains(&command.program()) || accounts.contains(&command.program())
}

/// How a command is checked.
#[derive(PartialEq)]
pub(crate) enum Fate {
    Run,
    OnlyRead,
}

/// How a command of a block is checked.
pub(crate) fn fate(command: &Command) -> Result<Fate, String> {
    let begins = |beginning: &&str| command.text.starts_with(beginning);
    if RUN.iter().any(begins) {
        return Ok(Fate::Run);
    }
    if ONLY_READ.iter().any(|(read, _)| begins(read)) {
        Ok(Fate::OnlyRead)
    } else {
        Err(format!("{}: this command is not run", command.name()))
    }
}

/// Entries of the tables above that match no command.
pub(crate) fn idle(commands: &[Command]) -> Vec<String> {
    let entries = RUN.iter().chain(ONLY_READ.iter().map(|(read, _)| read));
    let is_idle = |entry: &&&str| !commands.iter().any(|one| one.text.starts_with(**entry));
    let message = |entry: &&str| format!("no command of the READMEs begins with `{entry}`");
    entries.filter(is_idle).map(message).collect()
}

/// Runs a command in a tree. A command that runs trials runs a short one.
pub(crate) fn run(command: &Command, tree: &Path) -> Result<(), String> {
    let line = if command.text.starts_with("cargo harness test") {
        format!("{} {ANY_SCENARIO}", command.text)
    } else {
        command.text.clone()
    };
    let line = line.replace("cargo harness", env!("CARGO_BIN_EXE_harness"));
    let mut shell = Program::new("sh");
    done(
        command,
        boots_this(&mut shell)?
            .args(["-ec", &line])
            .current_dir(tree),
    )
}

/// Makes the command boot the artifacts of this tree.
pub(crate) fn boots_this(program: &mut Program) -> Result<&mut Program, String> {
    let artifacts = artifacts::of_environment(&project::find()).map_err(|why| why.to_string())?;
    Ok(program
        .env(KERNEL_VARIABLE, artifacts.kernel)
        .env(INITRD_VARIABLE, artifacts.initrd))
}

/// Checks that the library has this example.
fn example(command: &Command, name: &str) -> Result<(), String> {
    let file = format!("harness/machine/examples/{name}.rs");
    if project::find().root().join(&file).is_file() {
        return Ok(());
    }
    Err(format!("{}: {file} does not exist", command.name()))
}

/// Lets the command's program parse it.
pub(crate) fn read(command: &Command) -> Result<(), String> {
    let words = command
        .text
        .split_whitespace()
        .map(|word| word.trim_matches(['[', ']', '…']));
    let words: Vec<&str> = words.filter(|word| !is_variable(word)).collect();
    match words.as_slice() {
        ["cargo", "harness", rest @ ..] | ["harness", rest @ ..] => harness(command, rest),
        ["cargo", "test"] => Ok(()),
        ["cargo", "test", "--test", target, rest @ ..] => trials(command, target, rest),
        ["cargo", "test", "--workspace", "--example", name] => example(command, name),
        ["ssh", rest @ ..] => done(command, Program::new("ssh").arg("-G").args(rest)),
        [script, rest @ ..] if script.starts_with("ci/") => in_script(command, script, rest),
        _ => Err(format!("{}: this command is not parsed", command.name())),
    }
}

fn is_variable(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| name.starts_with("HARNESS_"))
}

/// clap parses everything before `--help` and does nothing else.
fn harness(command: &Command, words: &[&str]) -> Result<(), String> {
    let own = words
        .iter()
        .position(|word| *word == "--")
        .unwrap_or(words.len());
    let mut program = Program::new(env!("CARGO_BIN_EXE_harness"));
    done(command, program.args(&words[..own]).arg("--help"))
}

/// A test target, and the arguments behind `--`.
fn trials(command: &Command, target: &str, words: &[&str]) -> Result<(), String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    if !tests.join(format!("{target}.rs")).is_file() && !tests.join(target).is_dir() {
        return Err(format!(
            "{}: there is no test target `{target}`",
            command.name()
        ));
    }
    // `--` takes the place of the program name.
    match libtest_mimic::Arguments::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("{}: {why}", command.name())),
    }
}

/// Checks that a script is executable and mentions these options.
fn in_script(command: &Command, script: &str, words: &[&str]) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;

    let path = project::find().root().join(script);
    let mode = path
        .metadata()
        .map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o111 == 0 {
        return Err(format!(
            "{}: script `{script}` does not exist",
            command.name()
        ));
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let unknown = words
        .iter()
        .find(|word| word.starts_with('-') && !text.contains(**word));
    match unknown {
        Some(option) => Err(format!(
            "{}: {script} has no option `{option}`",
            command.name()
        )),
        None => Ok(()),
    }
}

fn done(command: &Command, program: &mut Program) -> Result<(), String> {
    let failed = |why: String| format!("{}: {why}", command.name());
    let output = program.stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(format!("cannot start it: {error}")))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(format!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )))
    }
}

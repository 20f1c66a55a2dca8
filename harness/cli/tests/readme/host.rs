//! The READMEs' commands for the host: run, or at least read by the program that would run them.

use std::path::Path;
use std::process::{Command as Program, Stdio};

use clap::Parser as _;
use harness::artifacts::{self, INITRD_VARIABLE, KERNEL_VARIABLE};
use harness::project;

use super::text::Command;

/// A scenario of one step, for commands that run trials whichever these are.
pub const ANY_SCENARIO: &str = "readme-any";

/// What begins like this is run, in a tree with the READMEs' scenarios beside those of the suite.
const RUN: [&str; 5] = [
    "cargo harness list",
    "cargo harness report --from",
    "cargo harness test --report",
    "mkdir -p mine/",
    "(cd mine &&",
];

/// What begins like this is not run here, and why; the program that would run it reads it.
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
        "it takes a red trial; tests/red has one, and enters it",
    ),
    ("cargo harness replay", "the same trial"),
];

/// Whether it is a command for the machine and not for the host.
pub fn is_for_the_machine(command: &Command) -> bool {
    let programs = ["rancherctl", "system-docker", "docker"];
    let accounts = ["useradd", "usermod", "userdel"];
    programs.contains(&command.program()) || accounts.contains(&command.program())
}

/// What becomes of a command.
#[derive(PartialEq)]
pub enum Fate {
    Run,
    OnlyRead,
}

/// What becomes of a command of a block.
pub fn fate(command: &Command) -> Result<Fate, String> {
    let begins = |beginning: &&str| command.text.starts_with(beginning);
    if RUN.iter().any(begins) {
        return Ok(Fate::Run);
    }
    match ONLY_READ.iter().any(|(read, _)| begins(read)) {
        true => Ok(Fate::OnlyRead),
        false => Err(format!("{}: nobody runs this command", command.name())),
    }
}

/// Entries of the tables above that no command needs.
pub fn idle(commands: &[Command]) -> Vec<String> {
    let entries = RUN.iter().chain(ONLY_READ.iter().map(|(read, _)| read));
    let is_idle = |entry: &&&str| !commands.iter().any(|one| one.text.starts_with(**entry));
    let told = |entry: &&str| format!("no command of the READMEs begins with `{entry}`");
    entries.filter(is_idle).map(told).collect()
}

/// Runs it in a tree; one that runs trials runs a short one.
pub fn run(command: &Command, tree: &Path) -> Result<(), String> {
    let line = match command.text.starts_with("cargo harness test") {
        true => format!("{} {ANY_SCENARIO}", command.text),
        false => command.text.clone(),
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

/// It boots what this tree builds, in whichever tree it runs.
pub fn boots_this(program: &mut Program) -> Result<&mut Program, String> {
    let artifacts = artifacts::obtain(&project::find()).map_err(|why| why.to_string())?;
    Ok(program
        .env(KERNEL_VARIABLE, artifacts.kernel)
        .env(INITRD_VARIABLE, artifacts.initrd))
}

/// Has it read by the program that would run it.
pub fn read(command: &Command) -> Result<(), String> {
    let words = command
        .text
        .split_whitespace()
        .map(|word| word.trim_matches(['[', ']', '…']));
    let words: Vec<&str> = words.filter(|word| !is_variable(word)).collect();
    match words.as_slice() {
        ["cargo", "harness", rest @ ..] | ["harness", rest @ ..] => harness(command, rest),
        ["cargo", "test"] => Ok(()),
        ["cargo", "test", "--test", target, rest @ ..] => trials(command, target, rest),
        ["ssh", rest @ ..] => done(command, Program::new("ssh").arg("-G").args(rest)),
        [script, rest @ ..] if script.starts_with("ci/") => in_script(command, script, rest),
        _ => Err(format!("{}: nobody reads this command", command.name())),
    }
}

fn is_variable(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| name.starts_with("HARNESS_"))
}

/// clap reads all that stands before `--help`, and does nothing.
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
    // `--` is where a program's name would be.
    match libtest_mimic::Arguments::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("{}: {why}", command.name())),
    }
}

/// A script that can be run, and speaks of these options.
fn in_script(command: &Command, script: &str, words: &[&str]) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;

    let path = project::find().root().join(script);
    let mode = path
        .metadata()
        .map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o111 == 0 {
        return Err(format!("{}: there is no script `{script}`", command.name()));
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let unknown = words
        .iter()
        .find(|word| word.starts_with('-') && !text.contains(**word));
    match unknown {
        Some(option) => Err(format!("{}: {script} knows no `{option}`", command.name())),
        None => Ok(()),
    }
}

fn done(command: &Command, program: &mut Program) -> Result<(), String> {
    let failed = |why: String| format!("{}: {why}", command.name());
    let output = program.stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(format!("it cannot be started: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(format!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

//! Tests of the READMEs: their commands are extracted and run in order, on this host or on a machine, and
//! must print the output that the README shows. A command that is not run is a failure.

mod ends;
mod guest;
mod host;
mod spoken;
mod text;

use std::path::Path;
use std::process::{Command as Program, ExitCode};
use std::sync::Arc;

use harness::project;
use libtest_mimic::{Arguments, Failed, Trial as Test};
use serde_json::{Value, json};

use host::Fate;
use text::{Block, Command, Readme};

/// The READMEs, in the order in which their commands are run.
const READMES: [&str; 7] = [
    "README.md",
    "os/README.md",
    "harness/README.md",
    "scenarios/README.md",
    "qemu-profiles/README.md",
    "images/README.md",
    "ci/README.md",
];

fn main() -> ExitCode {
    let project = project::find();
    let profiles = project.profiles().expect("the profiles are valid");
    let q35 = profiles.iter().find(|profile| profile.name == "q35");
    let unreachable = q35.expect("q35 is there").check_host().err();
    let readmes = Arc::new(Readmes::read());
    let test = |name: &str, boots: bool, run: fn(&Readmes) -> Result<(), Failed>| {
        let readmes = Arc::clone(&readmes);
        let test = Test::test(name, move || run(&readmes));
        match &unreachable {
            Some(why) if boots => test.with_ignored_flag(true).with_kind(&why.why),
            _ => test,
        }
    };
    let tests = vec![
        test(
            "every_command_is_run_or_read",
            false,
            Readmes::all_is_accounted_for,
        ),
        test("commands_for_the_host", true, Readmes::host_does_it),
        test("commands_for_the_machine", true, Readmes::machine_does_it),
        test("commands_that_end_the_machine", true, Readmes::machine_ends),
        test("a_whole_scenario", true, Readmes::scenario_holds),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// The content of all READMEs.
struct Readmes {
    blocks: Vec<Block>,
    /// The commands of the blocks.
    commands: Vec<Command>,
    inline: Vec<Command>,
}

/// The kind of a YAML block.
#[derive(PartialEq)]
enum Yaml {
    Scenario,
    Setup,
    PartOfScenario,
    /// A file of this tree; the first line is a comment with its path.
    FileOfTree,
    FileOfMachine,
}

impl Readmes {
    fn read() -> Self {
        let readmes = READMES.map(Readme::read);
        let blocks: Vec<Block> = readmes.iter().flat_map(text::blocks).collect();
        Self {
            commands: blocks.iter().flat_map(Block::commands).collect(),
            inline: readmes.iter().flat_map(text::inline).collect(),
            blocks,
        }
    }

    fn yaml(&self, kind: Yaml) -> impl Iterator<Item = &Block> {
        let blocks = self.blocks.iter().filter(|block| block.kind == "yaml");
        blocks.filter(move |block| yaml(block) == kind)
    }

    fn commands(&self, fate: Fate) -> impl Iterator<Item = &Command> {
        let on_host = self
            .commands
            .iter()
            .filter(|one| !host::is_for_the_machine(one));
        on_host.filter(move |one| host::fate(one).is_ok_and(|is| is == fate))
    }

    /// Inline commands for the host.
    fn mentioned(&self) -> impl Iterator<Item = &Command> {
        let is_ours = |one: &&Command| {
            let words: Vec<&str> = one.text.split_whitespace().take(3).collect();
            match words.as_slice() {
                ["cargo", "harness" | "test", ..] => true,
                ["harness", _, ..] => true,
                [script, ..] => script
                    .strip_prefix("ci/")
                    .is_some_and(|name| !name.is_empty() && !name.contains('.')),
                [] => false,
            }
        };
        self.inline.iter().filter(is_ours)
    }

    fn all_is_accounted_for(&self) -> Result<(), Failed> {
        let on_host: Vec<_> = self
            .commands
            .iter()
            .filter(|one| !host::is_for_the_machine(one))
            .cloned()
            .collect();
        let mut wrong: Vec<String> = on_host
            .iter()
            .filter_map(|one| host::fate(one).err())
            .collect();
        wrong.extend(host::idle(&on_host));
        wrong.extend(ends::faults(&self.inline));
        wrong.extend(spoken::idle(&self.inline));
        let read = self.commands(Fate::OnlyRead).chain(self.mentioned());
        wrong.extend(read.filter_map(|one| host::read(one).err()));
        for block in &self.blocks {
            wrong.extend(block_fault(block));
        }
        let tree = self.tree()?;
        let checked = harness(tree.path(), &["check"]);
        wrong.extend(checked.err());
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("\n").into())
        }
    }

    fn host_does_it(&self) -> Result<(), Failed> {
        let tree = self.tree()?;
        std::fs::write(tree.path().join("my-syslog"), "#!/bin/sh\n")?;
        for command in self.commands(Fate::Run) {
            host::run(command, tree.path())?;
        }
        for made in ["report.html", "junit.xml", "events.jsonl", "initrd"] {
            if !tree.path().join(made).is_file() {
                return Err(format!("the commands of the READMEs created no {made}").into());
            }
        }
        Ok(())
    }

    fn machine_does_it(&self) -> Result<(), Failed> {
        Ok(harness(
            self.tree()?.path(),
            &["test", guest::SCENARIO, "--jobs", "1"],
        )?)
    }

    fn machine_ends(&self) -> Result<(), Failed> {
        Ok(harness(
            self.tree()?.path(),
            &["test", ends::SCENARIOS, "--jobs", "1"],
        )?)
    }

    fn scenario_holds(&self) -> Result<(), Failed> {
        let tree = self.tree()?;
        for block in self.yaml(Yaml::Scenario) {
            harness(tree.path(), &["test", &name(block), "--jobs", "1"])?;
        }
        Ok(())
    }

    /// All steps for the machine.
    fn steps(&self) -> Vec<Value> {
        let mut steps = guest::at_hand(&self.blocks);
        for block in self.yaml(Yaml::FileOfMachine) {
            steps.extend(guest::file(block));
        }
        let typed = self
            .commands
            .iter()
            .filter(|one| host::is_for_the_machine(one));
        steps.extend(typed.map(guest::typed));
        steps.extend(spoken::steps(&self.inline));
        steps.extend(ends::of_docker(&self.inline));
        steps
    }

    /// A tree that shares the profiles, checkpoints and scenarios of this one, with the scenarios of the
    /// READMEs.
    fn tree(&self) -> Result<tempfile::TempDir, Failed> {
        let project = project::find();
        let root = std::path::absolute(project.root())?;
        let tree = tempfile::tempdir()?;
        let link = |what: &str| std::os::unix::fs::symlink(root.join(what), tree.path().join(what));
        for folder in ["scenarios/setups", "target"] {
            std::fs::create_dir_all(tree.path().join(folder))?;
        }
        for entry in root
            .join("scenarios")
            .read_dir()?
            .chain(root.join("scenarios/setups").read_dir()?)
        {
            let path = entry?.path();
            if !path.ends_with("setups") {
                link(&path.strip_prefix(&root)?.to_string_lossy())?;
            }
        }
        for folder in [project.checkpoints_folder(), root.join("target/images")] {
            std::fs::create_dir_all(folder)?;
        }
        [
            "qemu-profiles",
            "images",
            "target/checkpoints",
            "target/images",
        ]
        .into_iter()
        .try_for_each(link)?;

        let write = |path: String, text: String| {
            let path = tree.path().join(format!("scenarios/{path}.yaml"));
            // Scenarios of this tree are links already.
            let _ = std::fs::remove_file(&path);
            std::fs::write(path, text)
        };
        for block in self.yaml(Yaml::Scenario) {
            write(name(block), block.text())?;
        }
        for block in self.yaml(Yaml::Setup) {
            write(format!("setups/{}", name(block)), block.text())?;
        }
        let mut made = vec![
            (
                guest::SCENARIO.to_owned(),
                spoken::with_registry(guest::scenario(guest::SCENARIO, &self.steps())),
            ),
            (
                host::ANY_SCENARIO.to_owned(),
                guest::scenario(host::ANY_SCENARIO, &[json!({ "ssh": { "run": "true" } })]),
            ),
        ];
        for block in self.yaml(Yaml::PartOfScenario) {
            made.push(guest::whole(block)?);
        }
        made.extend(ends::scenarios(&self.inline));
        for (name, scenario) in made {
            write(name, serde_yaml::to_string(&scenario)?)?;
        }
        Ok(tree)
    }
}

fn yaml(block: &Block) -> Yaml {
    let has = |wanted: &str| block.keys().any(|key| key == wanted);
    let is_file = has("name") && has("steps");
    let parts = [
        "sabotage",
        "known_failure",
        "invariants",
        "console",
        "steps",
    ];
    match (is_file, is_file && (has("machine") || has("sabotage"))) {
        _ if path_in_tree(block).is_some() => Yaml::FileOfTree,
        (true, true) => Yaml::Scenario,
        (true, false) => Yaml::Setup,
        (false, _) if parts.into_iter().any(has) => Yaml::PartOfScenario,
        (false, _) => Yaml::FileOfMachine,
    }
}

/// The path in the first comment of a block that shows a file of this tree.
fn path_in_tree(block: &Block) -> Option<&str> {
    let path = block.lines.first()?.strip_prefix("# ")?;
    (path.contains('/') && path.ends_with(".yaml")).then_some(path)
}

/// Reports a block that differs from the file of this tree that it shows.
fn copy_fault(block: &Block) -> Option<String> {
    let path = path_in_tree(block)?;
    let file =
        std::fs::read_to_string(harness::project::find().root().join(path)).unwrap_or_default();
    let shown = block.lines.get(1..).unwrap_or_default().join("\n") + "\n";
    let differs = !file.ends_with(&shown);
    differs.then(|| format!("{}: {path} does not end with these lines", block.place()))
}

/// The name in a scenario file.
fn name(block: &Block) -> String {
    let name = block
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("name: "));
    name.unwrap_or_default().to_owned()
}

/// Reports an error in a block that is not run.
fn block_fault(block: &Block) -> Option<String> {
    match block.kind.as_str() {
        "sh" | "console" | "mermaid" | "rust" | "text" => None,
        "yaml" => copy_fault(block),
        "json" => block.lines.iter().find_map(|line| {
            let fault = serde_json::from_str::<Value>(line).err()?;
            Some(format!("{}: {line}: {fault}", block.place()))
        }),
        kind => Some(format!("{}: unknown kind of block `{kind}`", block.place())),
    }
}

/// Runs the harness in a tree with the artifacts of this tree.
fn harness(tree: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut program = Program::new(env!("CARGO_BIN_EXE_harness"));
    program.args(arguments).current_dir(tree);
    if arguments.first() == Some(&"test") {
        host::boots_this(&mut program)?;
    }
    let output = program.output().map_err(|why| why.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

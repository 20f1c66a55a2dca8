//! The architecture as tests: which crate may depend on which, and no cycles between folders of a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

/// Each crate of the harness with the workspace crates that it may depend on. Nothing in `harness/` depends
/// on `os/`, nor the reverse.
const HARNESS: [(&str, &[&str]); 10] = [
    ("base", &[]),
    ("yaml", &[]),
    ("switch", &[]),
    ("events", &["base"]),
    ("host", &["base"]),
    ("scenario", &["base", "yaml"]),
    ("report", &["base", "events"]),
    ("machine", &["base", "yaml", "host", "switch"]),
    (
        "runner",
        &[
            "base", "yaml", "events", "host", "machine", "scenario", "images",
        ],
    ),
    (
        "harness",
        &[
            "base", "yaml", "events", "host", "machine", "scenario", "runner", "report", "images",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The packages of the workspace: name, directory, and the workspace packages that each depends on.
fn packages() -> Vec<(String, PathBuf, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = packages.iter().map(|one| text(&one["name"])).collect();
    let package = |one: &Value| {
        let manifest = PathBuf::from(text(&one["manifest_path"]));
        let dependencies = one["dependencies"].as_array().into_iter().flatten();
        let dependencies = dependencies
            // Tests may use more than the code that they test.
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .filter(|name| names.contains(name));
        let folder = manifest.parent().unwrap_or(&manifest).to_owned();
        (text(&one["name"]), folder, dependencies.collect())
    };
    packages.iter().map(package).collect()
}

#[test]
fn crates_depend_only_on_crates_that_are_listed() {
    let packages = packages();
    let in_folder = |folder: &str| {
        let folder = root().join(folder).canonicalize().expect("it exists");
        let packages = packages.iter();
        packages.filter(move |(_, at, _)| at.starts_with(&folder))
    };
    for (name, _, dependencies) in in_folder("harness") {
        let listed = HARNESS.iter().find(|(listed, _)| listed == name);
        let (_, listed) = listed.unwrap_or_else(|| panic!("the crate `{name}` is not listed"));
        for dependency in dependencies {
            assert!(
                listed.contains(&dependency.as_str()),
                "`{name}` depends on `{dependency}`, which is not listed; \
                 hint: move the code, or add the edge to HARNESS with its reason"
            );
        }
    }
    let harness: BTreeSet<&String> = in_folder("harness").map(|(name, ..)| name).collect();
    for (name, _, dependencies) in in_folder("os") {
        let of_harness = dependencies.iter().find(|one| harness.contains(one));
        assert_eq!(of_harness, None, "`{name}` of os/ depends on the harness");
    }
}

#[test]
fn folders_of_a_crate_do_not_depend_on_each_other_in_cycles() {
    let mut found = Vec::new();
    for (name, folder, _) in packages() {
        let src = folder.join("src");
        let edges = edges(&src);
        let modules = edges.keys().chain(edges.values().flatten());
        let folders = modules.filter(|module| src.join(module).is_dir());
        if let Some(cycle) = cycle(&edges, &folders.cloned().collect()) {
            found.push(format!("crate `{name}`: {}", cycle.join(" -> ")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The files that may read the environment or the current directory, and what they read.
const READERS: [&str; 7] = [
    // PATH, as each start of a program does.
    "base/src/command.rs",
    // The variables of the options.
    "cli/src/environment.rs",
    // The working directory.
    "cli/src/project.rs",
    "cli/src/doctor.rs",
    // TERM, CI, NO_COLOR.
    "cli/src/terminal.rs",
    // HOME, for the keys of the user.
    "cli/src/interactive/cloud_config.rs",
    // What the command sets for its own second process.
    "cli/src/interactive/background.rs",
];

#[test]
fn only_the_command_line_prints_and_reads_the_environment() {
    let harness = root().join("harness");
    let reads = Regex::new(r"env::(var|vars|var_os|current_dir)\(").expect("it is one");
    let prints = Regex::new(r"\be?print(ln)?!\(").expect("it is one");
    let mut files = Vec::new();
    for name in HARNESS.map(|(name, _)| if name == "harness" { "cli" } else { name }) {
        rust_files(&harness.join(name).join("src"), &mut files);
    }
    assert!(files.len() > 100, "{files:?}");
    for file in files {
        let path = file.strip_prefix(&harness).unwrap_or(&file);
        let code = code_without_tests(&file);
        let is_test = path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
        let reader = READERS.iter().any(|reader| path == Path::new(reader));
        assert!(
            is_test || reader || !reads.is_match(&code),
            "{} reads the environment; hint: declare an option with `env`, and pass its value",
            path.display()
        );
        assert!(
            is_test || path.starts_with("cli") || !prints.is_match(&code),
            "{} prints; hint: emit a note or log",
            path.display()
        );
    }
}

/// The code of a file without comments and without the tests at its end.
fn code_without_tests(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let code = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

type Edges = BTreeMap<String, BTreeSet<String>>;

/// Which top-level module of a crate uses which, tests excluded. `lib.rs` is the facade: what it re-exports
/// counts as the module that defines it.
fn edges(src: &Path) -> Edges {
    let mut files = Vec::new();
    rust_files(src, &mut files);
    let lib = std::fs::read_to_string(src.join("lib.rs")).unwrap_or_default();
    let exported = exported(&lib);
    let mut edges = Edges::new();
    for file in files {
        let path = file.strip_prefix(src).unwrap_or(&file);
        let parts: Vec<String> = path
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let from = parts[0].clone();
        let is_test = parts.iter().any(|part| part == "tests");
        if is_test || ["lib", "main"].contains(&from.as_str()) {
            continue;
        }
        let code = code_without_tests(&file);
        for used in uses(&code, parts.len()) {
            let to = exported.get(&used).cloned().unwrap_or(used);
            if to != from && src.join(&to).is_dir() | src.join(format!("{to}.rs")).is_file() {
                edges.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    edges
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The items that a facade re-exports, each with its top-level module.
fn exported(lib: &str) -> BTreeMap<String, String> {
    let line =
        Regex::new(r"pub(?:\([a-z]+\))? use (?:self::)?([a-z_]+)::([^;]+);").expect("it is one");
    let word = Regex::new(r"[A-Za-z_]+").expect("it is one");
    let mut all = BTreeMap::new();
    for found in line.captures_iter(lib) {
        for item in word.find_iter(&found[2]) {
            all.insert(item.as_str().to_owned(), found[1].to_owned());
        }
    }
    all
}

/// The first segments of all paths from the crate root in a file that is `depth` modules deep.
fn uses(code: &str, depth: usize) -> BTreeSet<String> {
    let up = "super::".repeat(depth);
    let group = Regex::new(r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}").expect("it is one");
    let path = Regex::new(&format!(r"\b(?:crate::|{up})(\w+|\{{)")).expect("it is one");
    let inner = Regex::new(r"\{[^{}]*\}").expect("it is one");
    let head = Regex::new(r"^\s*(\w+)").expect("it is one");
    let mut all = BTreeSet::new();
    for found in path.captures_iter(code) {
        let first = found.get(1).expect("the group is not optional");
        if first.as_str() != "{" {
            all.insert(first.as_str().to_owned());
            continue;
        }
        let Some(items) = group.captures(&code[first.start()..]) else {
            continue;
        };
        let items = inner.replace_all(&items[1], "");
        for item in items.split(',') {
            all.extend(head.captures(item).map(|found| found[1].to_owned()));
        }
    }
    all
}

/// The shortest cycle through one of these modules. Cycles among files of one folder are allowed: they are
/// one subject.
fn cycle(edges: &Edges, folders: &BTreeSet<String>) -> Option<Vec<String>> {
    folders.iter().find_map(|folder| way_back(edges, folder))
}

fn way_back(edges: &Edges, begin: &str) -> Option<Vec<String>> {
    let mut ways = std::collections::VecDeque::from([vec![begin.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in way
            .last()
            .and_then(|last| edges.get(last))
            .into_iter()
            .flatten()
        {
            let longer: Vec<String> = way.iter().chain([next]).cloned().collect();
            if next == begin {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}

#[test]
fn cycle_is_found_and_a_chain_is_none() {
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges
                .entry((*from).into())
                .or_default()
                .insert((*to).into());
        }
        edges
    };
    let all = ["a", "b", "c"].map(str::to_owned).into();
    let chain = edges(&[("a", "b"), ("b", "c"), ("a", "c")]);
    assert_eq!(cycle(&chain, &all), None);
    let round = edges(&[("a", "b"), ("b", "c"), ("c", "b")]);
    assert_eq!(cycle(&round, &all).unwrap(), ["b", "c", "b"]);
    let only_a = ["a".to_owned()].into();
    assert_eq!(cycle(&round, &only_a), None);
}

#[test]
fn uses_are_found_in_groups_and_above() {
    let code =
        "use crate::disk::Drive;\nuse crate::{qemu::{args, plan}, vm};\nsuper::super::spec::x();";
    let found: Vec<_> = uses(code, 2).into_iter().collect();
    assert_eq!(found, ["disk", "qemu", "spec", "vm"]);
}

//! The committed schemas, documentation and scenarios match the types.

use std::path::Path;

use yaml::render_all;

use super::{load_all, schema, schema_of_setups, warnings, with_step_table};

#[test]
fn committed_schemas_match_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    for (name, text) in [
        ("schema.json", schema()),
        ("setups/schema.json", schema_of_setups()),
    ] {
        let file = folder.join(name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        let hint = "is out of date; run `cargo harness schema --write`";
        assert!(committed == text, "scenarios/{name} {hint}");
    }
}

#[test]
fn step_table_of_the_readme_matches_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let text = with_step_table(&readme).unwrap();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let hint = "is out of date; run `cargo harness schema --write`";
    assert!(
        readme == text,
        "the table of steps in scenarios/README.md {hint}"
    );
}

#[test]
fn committed_scenarios_name_the_schema_in_their_first_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap();
    for entry in files(&folder).chain(files(&folder.join("setups"))) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let first = text.lines().next().unwrap_or_default();
            assert_eq!(
                first,
                "# yaml-language-server: $schema=schema.json",
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn committed_scenarios_have_no_errors_and_no_warnings() {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = std::fs::read_dir(tree.join("qemu-profiles")).unwrap();
    let profiles = files
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|e| e == "yaml"))
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let loaded = load_all(&tree.join("scenarios"), profiles);
    let scenarios = loaded.unwrap_or_else(|errors| panic!("{}", render_all(&errors, false)));
    assert!(!scenarios.is_empty());
    // A scenario without a sabotage causes a warning.
    assert_eq!(render_all(&warnings(&scenarios), false), "");
}

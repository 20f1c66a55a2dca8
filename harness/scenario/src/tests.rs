use std::path::Path;

use insta::assert_snapshot;

use super::*;
use yaml::{Document, render_all};

fn known() -> Known {
    Known {
        profiles: ["pc", "q35"].map(str::to_owned).to_vec(),
        setups: Setups::default(),
    }
}

fn read(text: &str) -> Result<Scenario, String> {
    let document = Document::from_text(Path::new("scenarios/tea.yaml"), text)
        .map_err(|error| error.to_string())?;
    super::load::read(&document, &known()).map_err(|errors| render_all(&errors, false))
}

fn errors(text: &str) -> String {
    read(text).expect_err("the file has errors")
}

const GOOD: &str = r"
name: tea
about: tea can be made
machine:
  kernel_arguments: [rancher.password=rancher]
  disks: [{ size: 64, label: RANCHER_STATE }]
  memory: 2048
steps:
  - ssh: { run: make tea, as: root, stdout: { matches: '^tea$', lacks: coffee } }
  - name: the kettle is off
    timeout: 5s
    wait_for: { container: { engine: user, name: kettle } }
  - serial: { login: { user: rancher, password: rancher } }
  - docker: { engine: system, ps: { contains: [console], count: 5 } }
  - reboot: {}
  - power_cut: { seed: 18446744073709551615 }
";

#[test]
fn scenario_is_read_when_the_file_is_valid() {
    let scenario = read(GOOD).unwrap();
    assert_eq!(scenario.profiles, ["q35"]);
    assert_eq!(
        scenario
            .steps
            .iter()
            .map(|step| step.line)
            .collect::<Vec<_>>(),
        [9, 10, 13, 14, 15, 16]
    );
    assert_eq!(
        scenario.steps[1].timeout,
        Some(std::time::Duration::from_secs(5))
    );
    assert!(scenario.machine.ssh_key);
}

#[test]
fn unknown_key_is_reported_with_its_place_and_the_nearest_key() {
    assert_snapshot!(errors(
        "name: tea\nabout: tea\nsteps:\n  - ssh:\n      run: make tea\n      stdot: {equals: tea}\n"
    ));
}

#[test]
fn all_errors_of_a_file_are_reported() {
    assert_snapshot!(errors(
        r"name: coffee
about: ''
profiles: [q35, p35]
more_profiles: [pc, q35]
machine:
  ssh_key: false
steps:
  - ssh: { run: make tea, upload: { content: a, to: /b } }
  - sssh: { run: make tea }
  - docker: { engine: user, run: { image: tea, command: [make], exit: many } }
  - docker: { engine: nobody, ps: { count: 1 } }
  - ssh: { run: make tea, stdout: { equals: tea, matches: '(' } }
  - timeout: 0s
    reboot: {}
"
    ));
}

#[test]
fn steps_are_checked_when_the_head_is_invalid() {
    assert_snapshot!(errors("nam: tea\nsteps:\n  - ssh: {}\n"));
}

#[test]
fn contradictory_keys_are_refused() {
    assert_snapshot!(errors(
        r"name: tea
about: tea
steps:
  - ssh: { run: make tea, reboot: {} }
  - ssh: { run: make tea }
    reboot: {}
  - ssh: { run: make tea, expect_refused: true, exit: 3 }
  - ssh: { key: stranger, password: guess, expect_refused: true }
  - ssh: { run: make tea, stdout: { equals: a, contains: b } }
  - ssh: { run: make tea, stdout: { contains: b, filters: [{ pattern: a, replacement: b }] } }
  - serial: { send: ls, login: { user: a, password: b } }
  - docker: { engine: user, ps: { contains: a, lacks: [a] } }
  - docker: { engine: user, run: { image: a, command: [b], detach: true, exit: 1 } }
  - wait_for: { serial: a, event: b }
  - wait_for: { ssh: { run: ls, stdout: { snapshot: a } } }
"
    ));
}

#[test]
fn steps_are_refused_when_they_have_no_effect() {
    assert_snapshot!(errors(
        r"name: tea
about: tea
steps:
  - name: nothing
  - reboot:
  - ssh: {}
  - ssh: { run: ls, stdout: {} }
  - serial: {}
  - docker: { engine: user }
  - docker: { engine: user, ps: { all: true } }
  - docker: { engine: user, import: { image: a, files: [] } }
  - wait_for: {}
  - events: {}
"
    ));
}

#[test]
fn scenario_is_refused_when_no_step_checks_anything() {
    assert_snapshot!(errors(
        "name: tea\nabout: tea\nsteps:\n  - serial: { send: ls }\n"
    ));
}

#[test]
fn ready_condition_and_disks_are_refused_when_they_are_invalid() {
    let steps = "steps: [{ serial: { expect: a } }]\n";
    assert_snapshot!(errors(&format!(
        "name: tea\nabout: tea\nstart: cold\nready: {{ ssh: {{ run: a }} }}\nmachine:\n  ssh_key: false\n  disks:\n    - {{ size: 16, partition: 'a \"b\"' }}\n    - {{ size: 2, partition: b }}\n{steps}"
    )));
    assert_snapshot!(errors(&format!(
        "name: tea\nabout: tea\nready: {{ serial: a, event: init }}\n{steps}"
    )));
}

#[test]
fn scenario_is_refused_when_it_has_no_steps() {
    assert_snapshot!(errors("name: tea\nabout: tea\nsteps: []\n"));
}

#[test]
fn step_is_refused_when_it_needs_the_key_of_a_machine_without_one() {
    assert_snapshot!(errors(
        "name: tea\nabout: tea\nmachine: {ssh_key: false}\nsteps:\n  - ssh: {run: ls}\n"
    ));
}

#[test]
fn cloud_config_is_refused_when_it_is_a_script_and_the_machine_needs_a_key() {
    assert_snapshot!(errors(
        "name: tea\nabout: tea\nmachine:\n  cloud_config: |\n    #!/bin/sh\n    true\nsteps:\n  - reboot: {}\n"
    ));
}

#[test]
fn cloud_config_renders_with_the_key() {
    let text = "name: tea\nabout: tea\nmachine:\n  cloud_config: { hostname: pot, ssh_authorized_keys: [a] }\nsteps: [{ reboot: {} }]\n";
    let config = read(text).unwrap().machine.cloud_config;
    assert_snapshot!(
        CloudConfig::render(config.as_ref(), Some("b"))
            .unwrap()
            .unwrap()
    );
    assert_eq!(CloudConfig::render(None, None), Ok(None));
}

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

/// The errors of an otherwise valid file with this machine and this step.
fn errors_of(machine: &str, step: &str) -> String {
    errors(&format!(
        "name: tea\nabout: x\nmachine: {machine}\nsteps:\n  - {step}\n"
    ))
}

#[test]
fn machine_is_refused_when_a_value_is_invalid() {
    let steps = "ssh: {run: 'true'}";
    for (machine, expected) in [
        ("{ kernel_arguments: ['a b'] }", "not one kernel argument"),
        (
            "{ kernel_arguments: ['a=\"b c'] }",
            "not one kernel argument",
        ),
        ("{ disks: [{ size: 99614720 }] }", "too large"),
        (
            "{ disks: [{ size: 16, label: SEVENTEEN-LETTERS }] }",
            "label of an ext4 file system",
        ),
        (
            "{ volumes: [{ label: TWELVELETTER, files: {} }] }",
            "not a volume label",
        ),
        (
            "{ volumes: [{ label: a, files: { /abs: x } }] }",
            "`/abs` is not a path in a volume",
        ),
        (
            "{ volumes: [{ label: a, format: iso9660, files: { ../../rel: x } }] }",
            "`../../rel` is not a path in a volume",
        ),
        (
            "{ volumes: [{ label: a, files: { b: x, b/c: x } }] }",
            "`b` is both a file and a folder",
        ),
    ] {
        let text = errors_of(machine, steps);
        assert!(text.contains(expected), "{text}");
    }
    let good = "{ kernel_arguments: ['a=\"b c\"'], volumes: [{ label: longer label, format: iso9660, files: { a/b: x } }] }";
    let text = format!("name: tea\nabout: x\nmachine: {good}\nsteps:\n  - {steps}\n");
    read(&text).unwrap();
}

#[test]
fn error_of_a_step_names_the_fix() {
    for (step, fix) in [
        ("reboot", "write `reboot: {}`"),
        ("reboot:", "write `reboot: {}`"),
        ("{ timeout: 20, reboot: {} }", "write `20s`"),
        ("ssh: { run: 'true', exit: 300 }", "from 0 to 255"),
        (
            "docker: { engine: user, exec: { container: a, command: [b], exit: -1 } }",
            "from 0 to 255",
        ),
    ] {
        let text = errors_of("{}", step);
        assert!(text.contains(fix), "{text}");
        assert!(!text.contains("struct "), "{text}");
    }
}

#[test]
fn files_are_refused_when_two_have_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tea.yaml", "tea.yml"] {
        std::fs::write(folder.path().join(name), "name: tea\n").unwrap();
    }
    let errors = load_all(folder.path(), vec![]).unwrap_err();
    let text = errors[0].to_string();
    assert!(text.contains("has the same name"), "{text}");
}

#[test]
fn scenario_without_a_sabotage_causes_a_warning() {
    let scenario = read("name: tea\nabout: tea\nsteps:\n  - reboot: {}\n").unwrap();
    assert_snapshot!(render_all(&warnings(&[scenario]), false));
}

#[test]
fn sabotages_are_read_with_their_lines_and_places() {
    let scenario = read(&format!(
        "{GOOD}{}",
        r"sabotage:
  - kernel_argument: rancher.password=coffee
    red_at: 3
  - file: { path: /init, content: '' }
    red_at: ready
  - disk_without_label: RANCHER_STATE
    red_at: the kettle is off
  - run: fill kettle
    before: the kettle is off
    red_at: the kettle is off
"
    ))
    .unwrap();
    assert!(scenario.warnings.is_empty());
    let seen: Vec<_> = scenario
        .sabotage
        .iter()
        .map(|sabotage| (sabotage.line, sabotage.red_at))
        .collect();
    let at = RedAt::Step;
    assert_eq!(
        seen,
        [(18, at(2)), (20, RedAt::Ready), (22, at(1)), (24, at(1))]
    );
}

#[test]
fn sabotages_are_refused_when_they_are_invalid() {
    assert_snapshot!(errors(
        r"name: tea
about: tea
machine:
  ssh_key: false
  kernel_arguments: [a=1]
  disks: [{ size: 1 }, { size: 1, label: CUP }]
start: cold
steps:
  - name: one
    serial: { expect: one }
  - name: two
    serial: { expect: two }
  - name: two
    serial: { expect: two again }
sabotage:
  - service: syslog
  - red_at: one
  - { service: syslog, run: spill, red_at: one }
  - { kernel_argument: a=1, red_at: ready }
  - { kernel_argument: '=1', red_at: two }
  - { file: { path: init, content: '' }, red_at: 4 }
  - { file: { path: /a/../b, content: '' }, red_at: 0 }
  - { disk_without_label: SAUCER, red_at: on }
  - { service: /bin/sh, red_at: one, before: 1 }
  - { run: spill, red_at: one, before: 3 }
  - { run: ' ', red_at: ready }
"
    ));
}

#[test]
fn unknown_key_of_a_sabotage_is_reported_with_the_nearest_key() {
    assert_snapshot!(errors(
        "name: tea\nabout: tea\nsteps:\n  - reboot: {}\nsabotage:\n  - { servise: a, red_at: 1 }\n"
    ));
}

#[test]
fn steps_about_the_boot_are_refused_in_a_fork_until_it_boots() {
    let head = "name: tea\nabout: tea can be made\n";
    let steps = "steps:\n  - events: { failed: [] }\n  - reboot: {}\n  - events: { failed: [] }\n";
    assert_snapshot!(errors(&format!("{head}{steps}")));
    assert!(read(&format!("{head}start: cold\n{steps}")).is_ok());
    let cut = "steps:\n  - power_cut: {}\n  - events: { failed: [] }\n";
    assert!(read(&format!("{head}{cut}")).is_ok());
}

#[test]
fn scenario_continues_from_its_setup() {
    let text = |setup: &str| {
        format!(
            "name: tea\nabout: tea\nsetup: {setup}\nmachine:\n  kernel_arguments: [more]\nsteps:\n  - ssh: {{ run: make tea }}\n"
        )
    };
    let kettle = "name: kettle\nabout: water\nmachine:\n  memory: 2048\n  kernel_arguments: [base]\nsteps:\n  - ssh: { run: boil }\n";
    let kettle = Document::from_text(Path::new("setups/kettle.yaml"), kettle).unwrap();
    let known = Known {
        setups: Setups::read(&[kettle]).unwrap(),
        ..known()
    };
    let read = |setup: &str| {
        let document = Document::from_text(Path::new("scenarios/tea.yaml"), &text(setup)).unwrap();
        super::load::read(&document, &known).map_err(|errors| render_all(&errors, false))
    };
    let scenario = read("kettle").unwrap();
    assert_eq!(scenario.setups[0].name, "kettle");
    assert_eq!(scenario.machine.memory, Some(2048));
    assert_eq!(scenario.machine.kernel_arguments, ["base", "more"]);
    assert_snapshot!(read("ketle").unwrap_err());
}

#[test]
fn invariant_is_refused_when_it_changes_the_machine() {
    assert_snapshot!(errors(
        "name: tea\nabout: tea\ninvariants:\n  - ssh: { run: kettle is warm }\n  - reboot: {}\n  - ssh: { upload: { content: a, to: /b } }\nsteps:\n  - ssh: { run: make tea }\n"
    ));
}

#[test]
fn known_failure_is_refused_when_reason_ticket_or_date_is_missing() {
    let known = |text: &str| format!("{}known_failure: {text}\n", GOOD.trim_start());
    let good = read(&known(
        "{ reason: no water, ticket: 'KETTLE-7', until: 2027-01-31 }",
    ));
    assert_eq!(good.unwrap().known_failure.unwrap().ticket, "KETTLE-7");
    assert_snapshot!(errors(&known(
        "{ reason: '', ticket: ' ', until: 2027-01-31 }"
    )));
    assert_snapshot!(errors(&known(
        "{ reason: no water, ticket: '7', until: 31.1.2027 }"
    )));
    assert_snapshot!(errors(&known("{ reason: no water, until: 2027-01-31 }")));
}

#[test]
fn faults_are_refused_when_they_have_no_effect() {
    assert_snapshot!(errors(
        r"name: tea
about: tea
machine:
  disks: [{ size: 16 }]
steps:
  - kill: { signal: TERM }
  - kill: { process: a, container: b }
  - kill: { process: a name that is too long, engine: user }
  - network: {}
  - network: { link: down, delay: 1s }
  - network: { link: up, for: 1s }
  - network: { loss: 0 }
  - network: { delay: 1s, interface: eth 0 }
  - disk: {}
  - disk: { full: true, write: error }
  - disk: { slow: 5s }
  - memory: { balloon: 0 }
  - clock: { jump: 10ms }
"
    ));
}

#[test]
fn step_is_refused_when_the_machine_cannot_answer() {
    let head = "name: tea\nabout: tea\nmachine: { disks: [{ size: 16 }] }\nsteps:\n";
    let ls = "  - ssh: { run: ls }\n";
    for (steps, expected) in [
        ("  - pause: {}\n", "machine is paused"),
        ("  - network: { link: down }\n", "whose link is down"),
        ("  - power_button: {}\n", "switched the machine off"),
        (
            "  - power_off: { command: poweroff }\n",
            "switched the machine off",
        ),
    ] {
        let text = errors(&format!("{head}{steps}{ls}"));
        assert!(
            text.contains(expected) && text.contains("tea.yaml:6"),
            "{text}"
        );
        assert!(read(&format!("{head}{ls}{steps}")).is_ok(), "{steps}");
    }
    for steps in [
        "  - pause: {}\n  - disk: { read: error }\n  - resume: {}\n",
        "  - pause: {}\n  - wait_for: { silence: 1s }\n  - resume: {}\n",
        "  - pause: { for: 1s }\n",
        "  - network: { link: down }\n  - serial: { send: ls }\n  - undo: network\n",
        "  - network: { link: down }\n  - network: { link: up }\n",
        "  - network: { link: down, for: 1s }\n",
        "  - hotplug: { disk: { size: 16 } }\n  - disk: { disk: 1, read: error }\n",
    ] {
        assert!(read(&format!("{head}{steps}{ls}")).is_ok(), "{steps}");
    }
    for (steps, expected) in [
        ("  - resume: {}\n", "machine is not paused"),
        ("  - undo: clock\n", "no earlier step injected this fault"),
        (
            "  - disk: { disk: 1, read: error }\n",
            "gives the machine 1 disks",
        ),
    ] {
        let text = errors(&format!("{head}{ls}{steps}"));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn silence_is_refused_as_the_ready_condition() {
    let text = "name: tea\nabout: tea\nready: { silence: 1s }\nsteps:\n  - ssh: { run: ls }\n";
    let text = errors(text);
    assert!(
        text.contains("does not mean that the machine is ready"),
        "{text}"
    );
}

#[test]
fn crash_allows_later_steps_about_the_boot() {
    let text = "name: tea\nabout: tea\nsteps:\n  - crash: {}\n  - events: { failed: [] }\n";
    assert!(read(text).is_ok());
}

#[test]
fn clock_change_is_positive_or_negative() {
    let jump = |text: &str| serde_yaml::from_str::<Jump>(text).map(|jump| jump.seconds);
    assert_eq!((jump("1h").unwrap(), jump("-90m").unwrap()), (3600, -5400));
    assert!(jump("soon").is_err() && jump("0s").is_err());
}

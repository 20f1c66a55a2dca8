//! Checks of client steps.

use std::path::{Component, Path};

use super::super::client::ClientStep;
use super::{Lint, expectation};

/// The first port that a process without privileges can bind.
const FIRST_PORT: u16 = 1024;

pub(super) fn step(lint: &mut Lint<'_>, step: &ClientStep, path: &str) {
    if step.run.trim().is_empty() {
        let path = format!("{path}.run");
        lint.value(&path, "the command is empty", "write a command line");
    }
    for file in step.files.keys() {
        let is_name = |part| matches!(part, Component::Normal(_));
        let file_path = Path::new(file);
        if file.is_empty() || file.ends_with('/') || !file_path.components().all(is_name) {
            let message = format!("`{file}` is not a file path below the home directory");
            let hint = "write a relative path without `..`, e.g. `shop/compose.yaml`";
            lint.key(&format!("{path}.files"), message, hint);
        }
    }
    for (number, port) in step.ports.iter().enumerate() {
        let path = format!("{path}.ports[{number}]");
        if *port < FIRST_PORT {
            let hint = "publish it at port 1024 or above; SSH needs no entry here";
            lint.value(&path, "an unprivileged user cannot bind this port", hint);
        }
        if step.ports[..number].contains(port) {
            let message = format!("duplicate port {port}");
            lint.value(&path, message, "remove one of them");
        }
    }
    expectation::exit(lint, step.exit.map(i64::from), &format!("{path}.exit"));
    expectation::text(lint, step.stdout.as_ref(), &format!("{path}.stdout"));
    expectation::text(lint, step.stderr.as_ref(), &format!("{path}.stderr"));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::load::{self, Known};
    use yaml::{Document, render_all};

    /// The lint messages of a scenario with this step; empty if there are none.
    fn lint(step: &str) -> String {
        let text = format!("name: tea\nabout: x\nsteps:\n  - client: {step}\n");
        let document = Document::from_text(Path::new("scenarios/tea.yaml"), &text).unwrap();
        let known = Known {
            profiles: vec!["q35".into()],
            ..Known::default()
        };
        let read = load::read(&document, &known);
        read.map_or_else(|errors| render_all(&errors, false), |_| String::new())
    }

    #[test]
    fn client_step_is_accepted_when_its_paths_and_ports_are_valid() {
        let step = "{ run: make tea, files: { 'a/b..c': x, .tea: y }, ports: [8080, 1024] }";
        assert_eq!(lint(step), "");
    }

    #[test]
    fn client_step_is_refused_when_a_path_a_port_or_the_command_is_invalid() {
        for (step, expected) in [
            ("{ run: ' ' }", "command is empty"),
            ("{ files: { a: x } }", "missing key `run`"),
            (
                "{ run: tea, files: { /etc/x: y } }",
                "`/etc/x` is not a file path",
            ),
            ("{ run: tea, files: { a/../../x: y } }", "not a file path"),
            ("{ run: tea, files: { a/: y } }", "not a file path"),
            ("{ run: tea, files: { '': y } }", "not a file path"),
            ("{ run: tea, ports: [80] }", "cannot bind this port"),
            ("{ run: tea, ports: [8080, 8080] }", "duplicate port 8080"),
            ("{ run: tea, ports: [70000] }", "invalid value"),
            ("{ run: tea, stdout: {} }", "no expectation"),
            ("{ run: tea, exit: 300 }", "from 0 to 255"),
        ] {
            let messages = lint(step);
            assert!(messages.contains(expected), "{step}: {messages}");
        }
    }
}

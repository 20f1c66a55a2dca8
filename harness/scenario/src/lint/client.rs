//! Steps on a person's computer.

use std::path::{Component, Path};

use super::super::client::ClientStep;
use super::{Lint, expectation};

/// Below it only root listens.
const FIRST_PORT: u16 = 1024;

pub(super) fn step(lint: &mut Lint<'_>, step: &ClientStep, path: &str) {
    if step.run.trim().is_empty() {
        let path = format!("{path}.run");
        lint.value(&path, "this command does nothing", "write a command line");
    }
    for file in step.files.keys() {
        let inside = |part| matches!(part, Component::Normal(_));
        let file_path = Path::new(file);
        if file.is_empty() || file.ends_with('/') || !file_path.components().all(inside) {
            let message = format!("`{file}` is no path of a file at home");
            let hint = "write it from the home folder on, without `..`: `shop/compose.yaml`";
            lint.key(&format!("{path}.files"), message, hint);
        }
    }
    for (number, port) in step.ports.iter().enumerate() {
        let path = format!("{path}.ports[{number}]");
        if *port < FIRST_PORT {
            let hint = "publish it at 1024 or above; SSH needs no port here";
            lint.value(&path, "a person cannot listen at this port", hint);
        }
        if step.ports[..number].contains(port) {
            let message = format!("the port {port} is here twice");
            lint.value(&path, message, "leave one away");
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

    /// What is wrong with a scenario of this step.
    fn wrong(step: &str) -> String {
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
    fn client_step_is_accepted_when_it_stays_at_home() {
        let step = "{ run: make tea, files: { 'a/b..c': x, .tea: y }, ports: [8080, 1024] }";
        assert_eq!(wrong(step), "");
    }

    #[test]
    fn client_step_is_refused_when_it_leaves_its_home_or_does_nothing() {
        for (step, why) in [
            ("{ run: ' ' }", "does nothing"),
            ("{ files: { a: x } }", "`run` is missing"),
            ("{ run: tea, files: { /etc/x: y } }", "`/etc/x` is no path"),
            ("{ run: tea, files: { a/../../x: y } }", "no path of a file"),
            ("{ run: tea, files: { a/: y } }", "no path of a file"),
            ("{ run: tea, files: { '': y } }", "no path of a file"),
            ("{ run: tea, ports: [80] }", "cannot listen at this port"),
            ("{ run: tea, ports: [8080, 8080] }", "here twice"),
            ("{ run: tea, ports: [70000] }", "invalid value"),
            ("{ run: tea, stdout: {} }", "expects nothing"),
            ("{ run: tea, exit: 300 }", "from 0 to 255"),
        ] {
            let said = wrong(step);
            assert!(said.contains(why), "{step}: {said}");
        }
    }
}

//! Steps that passed the lint.

use std::time::Duration;

use super::super::collector::Lint;
use super::{Action, StepFile};

/// A step that passed the lint.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its timeout on the reference host, if it sets one.
    pub timeout: Option<Duration>,
    /// What it does.
    pub action: Action,
}

impl Step {
    /// The step in one line: its name, or a description of its action.
    pub fn title(&self) -> String {
        let name = self.name.clone();
        name.unwrap_or_else(|| self.action.kind().title())
    }

    /// Its timeout on the reference host: from the file, or the default of its kind.
    pub fn limit(&self) -> Duration {
        let default = || self.action.kind().default_timeout();
        self.timeout.unwrap_or_else(default)
    }

    /// Whether the guest may not answer during the step.
    pub fn interrupts_guest(&self) -> bool {
        self.action.kind().interrupts_guest()
    }
}

impl StepFile {
    /// Checks the step: its kind, and the keys of that kind.
    pub(crate) fn check(self, lint: &mut Lint<'_>, path: &str) -> Option<Step> {
        let (name, timeout) = (self.name.clone(), self.timeout);
        let action = lint.one(self.kinds(), path, "a step")?;
        let kind_path = format!("{path}.{}", action.key());
        action.kind().lint(lint, &kind_path);
        Some(Step {
            line: lint.document.line(path),
            name,
            timeout: timeout.map(|span| span.0),
            action,
        })
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::testing::{errors, errors_of};

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
}

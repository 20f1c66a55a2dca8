//! What the tests of this crate share.

use std::path::Path;

use yaml::{Document, render_all};

use super::load::{self, Known};
use super::scenario::Scenario;
use super::setup::Setups;

/// A valid scenario.
pub(crate) const GOOD: &str = r"
name: tea
about: tea can be made
machine:
  kernel_arguments: [tea.password=green]
  disks: [{ size: 64, label: TEA_STATE }]
  memory: 2048
steps:
  - ssh: { run: make tea, as: root, stdout: { matches: '^tea$', lacks: coffee } }
  - name: the kettle is off
    timeout: 5s
    wait_for: { container: { engine: user, name: kettle } }
  - serial: { login: { user: me, password: green } }
  - docker: { engine: system, ps: { contains: [console], count: 5 } }
  - reboot: {}
  - power_cut: { seed: 18446744073709551615 }
";

/// What the scenarios of these tests can refer to.
pub(crate) fn known() -> Known {
    Known {
        profiles: ["pc", "q35"].map(str::to_owned).to_vec(),
        setups: Setups::default(),
    }
}

/// Reads `tea.yaml`; the error is what a user sees.
pub(crate) fn read(text: &str) -> Result<Scenario, String> {
    read_with(text, &known())
}

/// Reads `tea.yaml`, which can refer to `known`.
pub(crate) fn read_with(text: &str, known: &Known) -> Result<Scenario, String> {
    let document = Document::from_text(Path::new("scenarios/tea.yaml"), text)
        .map_err(|error| error.to_string())?;
    load::read(&document, known).map_err(|errors| render_all(&errors, false))
}

/// The errors of a file.
pub(crate) fn errors(text: &str) -> String {
    read(text).expect_err("the file has errors")
}

/// The errors of an otherwise valid file with this machine and this step.
pub(crate) fn errors_of(machine: &str, step: &str) -> String {
    errors(&format!(
        "name: tea\nabout: x\nmachine: {machine}\nsteps:\n  - {step}\n"
    ))
}

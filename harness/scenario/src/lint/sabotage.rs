//! Checks of sabotages, and a warning for scenarios without one.

use yaml::closest;

use super::super::addresses;
use super::super::cluster::Cluster;
use super::super::collector::Lint;
use super::super::file::ScenarioFile;
use super::super::sabotage::{Change, InitrdFile, RedAt, Sabotage, SabotageFile, StepRef, key};
use super::super::step::Step;
use super::place;

/// Names the time before the first step in `red_at`.
const READY: &str = "ready";

/// Returns the valid sabotages of a scenario.
pub(crate) fn sabotages<S>(
    lint: &mut Lint<'_>,
    head: &ScenarioFile<S>,
    cluster: &Cluster,
    steps: &[Step],
) -> Vec<Sabotage> {
    if head.sabotage.is_empty() {
        let name = &head.name;
        let message = format!("nothing proves that `{name}` can fail");
        let hint = "add `sabotage:` with a change that must make one of its steps fail";
        lint.warn("name", message, hint);
    }
    if steps.len() != head.steps.len() {
        // Invalid steps are already reported, and without them step numbers are wrong.
        return Vec::new();
    }
    let files = head.sabotage.iter().enumerate();
    let one = |(number, file): (usize, &SabotageFile)| {
        let path = format!("sabotage[{number}]");
        let context = Context {
            head,
            cluster,
            steps,
            path: &path,
        };
        context.check(lint, file)
    };
    files.filter_map(one).collect()
}

/// The scenario of a sabotage, and the place of the sabotage in it.
struct Context<'a, S> {
    head: &'a ScenarioFile<S>,
    cluster: &'a Cluster,
    steps: &'a [Step],
    path: &'a str,
}

impl<S> Context<'_, S> {
    fn check(&self, lint: &mut Lint<'_>, file: &SabotageFile) -> Option<Sabotage> {
        let red_at = self.red_at(lint, file);
        let change = self.change(lint, file);
        let (red_at, change) = (red_at?, change?);
        if let Change::Run { before, .. } = change {
            self.runs_before_failure(lint, before, red_at);
        }
        Some(Sabotage {
            line: lint.document.line(self.path),
            change,
            red_at,
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn red_at(&self, lint: &mut Lint<'_>, file: &SabotageFile) -> Option<RedAt> {
        let Some(wanted) = &file.red_at else {
            let message = "`red_at` is missing; it names the step that must fail";
            let hint = "add `red_at:` with the name or the number of a step, or `ready`";
            lint.key(self.path, message, hint);
            return None;
        };
        match wanted {
            StepRef::Name(name) if name == READY => Some(RedAt::Ready),
            step => self.step(lint, "red_at", step).map(RedAt::Step),
        }
    }

    /// The index of a step that a key names.
    fn step(&self, lint: &mut Lint<'_>, key: &str, wanted: &StepRef) -> Option<usize> {
        let last = self.steps.len();
        let (message, hint) = match wanted {
            StepRef::Number(number) => {
                let index = usize::try_from(*number).ok().and_then(|n| n.checked_sub(1));
                match index {
                    Some(index) if index < last => return Some(index),
                    _ => (
                        format!("unknown step {number}"),
                        format!("the steps are numbered from 1 to {last}"),
                    ),
                }
            }
            StepRef::Name(name) => {
                let named = |step: &Step| step.name.as_ref() == Some(name);
                let mut found = (0..last).filter(|index| named(&self.steps[*index]));
                match (found.next(), found.next()) {
                    (Some(index), None) => return Some(index),
                    (Some(_), Some(_)) => (
                        format!("ambiguous step name `{name}`"),
                        "write its number".into(),
                    ),
                    (None, _) => (format!("unknown step `{name}`"), self.names(name)),
                }
            }
        };
        lint.value(&self.key(key), message, hint);
        None
    }

    fn names(&self, wanted: &str) -> String {
        let names = self.steps.iter().filter_map(|step| step.name.as_deref());
        match closest(wanted, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write the name of a step, its number, or `ready`".into(),
        }
    }

    fn change(&self, lint: &mut Lint<'_>, file: &SabotageFile) -> Option<Change> {
        let unused = file.before.is_some() && file.run.is_none();
        let hint = "remove it, or add `run`";
        lint.refuse(
            unused,
            &self.key("before"),
            "`before` has no effect without `run`",
            hint,
        );
        let unused = file.on.is_some() && file.run.is_none();
        let hint = "remove it; the change applies to all machines";
        let message = "`on` has no effect without `run`";
        lint.refuse(unused, &self.key("on"), message, hint);
        let kinds = [
            file.kernel_argument.clone().map(Change::KernelArgument),
            file.file.clone().map(Change::File),
            file.service.clone().map(Change::Service),
            file.disk_without_label
                .clone()
                .map(Change::DiskWithoutLabel),
            file.run.clone().map(|command| Change::Run {
                command,
                before: 0,
                on: Vec::new(),
            }),
        ];
        let mut names = Change::KINDS.iter();
        let kinds = kinds.map(|kind| (*names.next().unwrap_or(&""), kind));
        match lint.one(kinds, self.path, "a sabotage")? {
            Change::KernelArgument(argument) => self.argument(lint, argument),
            Change::File(file) => self.file(lint, file),
            Change::Service(name) => self.service(lint, name),
            Change::DiskWithoutLabel(label) => self.disk(lint, label),
            Change::Run { command, .. } => self.run(lint, &command, file),
        }
    }

    fn argument(&self, lint: &mut Lint<'_>, argument: String) -> Option<Change> {
        let path = self.key("kernel_argument");
        if key(&argument).trim().is_empty() || argument.contains('\n') {
            lint.value(&path, "not a kernel argument", "write `KEY=VALUE`");
            return None;
        }
        if self.head.machine.kernel_arguments.contains(&argument) {
            let hint = "write another value";
            lint.value(&path, "the machine already has this kernel argument", hint);
            return None;
        }
        Some(Change::KernelArgument(argument))
    }

    fn file(&self, lint: &mut Lint<'_>, file: InitrdFile) -> Option<Change> {
        let parts = file.path.strip_prefix('/').unwrap_or_default().split('/');
        if parts.clone().any(|part| matches!(part, "" | "." | "..")) {
            let hint = "write the path from the root of the initrd, e.g. `/init`";
            lint.value(&self.key("file.path"), "not a file path", hint);
            return None;
        }
        Some(Change::File(file))
    }

    fn service(&self, lint: &mut Lint<'_>, name: String) -> Option<Change> {
        let valid = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        if name.is_empty() || !name.chars().all(valid) {
            let hint = "write a container name as `system-docker ps` prints it";
            lint.value(
                &self.key("service"),
                "not a name of a system container",
                hint,
            );
            return None;
        }
        Some(Change::Service(name))
    }

    fn disk(&self, lint: &mut Lint<'_>, label: String) -> Option<Change> {
        let disks = self.head.machine.disks.iter();
        let labels: Vec<&str> = disks.filter_map(|disk| disk.label.as_deref()).collect();
        if labels.contains(&label.as_str()) {
            return Some(Change::DiskWithoutLabel(label));
        }
        let hint = match labels.as_slice() {
            [] => "none of the machine's disks has a label".into(),
            labels => format!("the labels of its disks are: {}", labels.join(", ")),
        };
        let message = format!("the machine has no disk with the label `{label}`");
        lint.value(&self.key("disk_without_label"), message, hint);
        None
    }

    fn run(&self, lint: &mut Lint<'_>, command: &str, file: &SabotageFile) -> Option<Change> {
        let path = self.key("run");
        let empty = command.trim().is_empty();
        lint.refuse(empty, &path, "the command is empty", "write a command line");
        let message = "`run` needs the trial's key, which the machine does not have";
        let hint = "use `kernel_argument` or `file` instead";
        lint.refuse(!self.head.machine.ssh_key, &path, message, hint);
        let on = self.on(lint, file);
        let command = addresses::filled(lint, self.cluster, command, &path);
        let before = match &file.before {
            Some(step) => self.step(lint, "before", step)?,
            None => 0,
        };
        (!empty).then_some(Change::Run {
            command,
            before,
            on,
        })
    }

    /// The machines that a command runs on.
    fn on(&self, lint: &mut Lint<'_>, file: &SabotageFile) -> Vec<String> {
        let Some(on) = &file.on else {
            return self.cluster.machine_names().map(str::to_owned).collect();
        };
        let path = self.key("on");
        if self.cluster.is_empty() {
            let message = "`on` names machines, and there are no `machines`";
            lint.key(&path, message, "remove it, or add `machines`");
        } else {
            let hint = "write the name of a machine, or a list of names";
            lint.refuse(on.0.is_empty(), &path, "`on` names no machine", hint);
            place::on(lint, self.cluster, &on.0, self.path);
        }
        on.0.clone()
    }

    /// Refuses a command that runs after the step that must fail.
    fn runs_before_failure(&self, lint: &mut Lint<'_>, before: usize, red_at: RedAt) {
        let too_late = match red_at {
            RedAt::Step(step) => before > step,
            RedAt::Ready | RedAt::Change => true,
        };
        let hint = "name a later step in `red_at`";
        let message = "this command runs after the step that must fail";
        lint.refuse(too_late, &self.key("run"), message, hint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::warnings;
    use insta::assert_snapshot;
    use yaml::render_all;

    use crate::testing::{GOOD, cluster, errors, read};

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
  - kernel_argument: tea.password=coffee
    red_at: 3
  - file: { path: /init, content: '' }
    red_at: ready
  - disk_without_label: TEA_STATE
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
    fn sabotage_runs_on_all_machines_of_a_cluster_or_on_those_in_on() {
        let text = |sabotage: &str| {
            cluster(
                &format!("sabotage:\n  - {{ {sabotage}, red_at: 1 }}\n"),
                "{ on: a, ssh: { run: ls } }",
            )
        };
        let step = |sabotage: &str| {
            let scenario = read(&text(sabotage)).unwrap();
            scenario.sabotage[0].apply_to(&scenario, 1).steps.remove(0)
        };
        assert_eq!(step("run: spill").on, ["a", "b", "c"]);
        let spilled = step("run: 'spill ${b.lan}', on: b");
        assert_eq!(spilled.on, ["b"]);
        assert!(
            spilled.title().contains("spill 10.9.0.2"),
            "{}",
            spilled.title()
        );
        for (sabotage, expected) in [
            ("run: spill, on: d", "unknown machine `d`"),
            ("run: spill, on: []", "names no machine"),
            ("kernel_argument: a, on: b", "no effect without `run`"),
        ] {
            let text = errors(&text(sabotage));
            assert!(text.contains(expected), "{text}");
        }
        let one = "name: tea\nabout: tea\nsteps: [{ reboot: {} }]\nsabotage: [{ run: a, on: a, red_at: 1 }]\n";
        let text = errors(one);
        assert!(text.contains("there are no `machines`"), "{text}");
    }
}

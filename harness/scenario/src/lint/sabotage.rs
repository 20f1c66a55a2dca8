//! Sabotages that are none, and a warning for scenarios that have none.

use yaml::closest;

use super::super::file::ScenarioFile;
use super::super::load::Step;
use super::super::sabotage::{Change, InitrdFile, RedAt, Sabotage, SabotageFile, StepRef, key};
use super::{Lint, kind};

/// What stands for the time before the first step.
const READY: &str = "ready";

/// Those of a scenario's sabotages that make sense.
pub(crate) fn sabotages<S>(
    lint: &mut Lint<'_>,
    head: &ScenarioFile<S>,
    steps: &[Step],
) -> Vec<Sabotage> {
    if head.sabotage.is_empty() {
        let name = &head.name;
        let message = format!("nothing proves that `{name}` can fail");
        let hint = "add `sabotage:` with a change that must turn one of its steps red";
        lint.warn("name", message, hint);
    }
    if steps.len() != head.steps.len() {
        // As for the scenario as a whole: steps that are not at their places cannot be named.
        return Vec::new();
    }
    let files = head.sabotage.iter().enumerate();
    let one = |(number, file): (usize, &SabotageFile)| {
        let path = format!("sabotage[{number}]");
        let looked = Looked {
            head,
            steps,
            path: &path,
        };
        looked.at(lint, file)
    };
    files.filter_map(one).collect()
}

/// What a sabotage is looked at with.
struct Looked<'a, S> {
    head: &'a ScenarioFile<S>,
    steps: &'a [Step],
    path: &'a str,
}

impl<S> Looked<'_, S> {
    fn at(&self, lint: &mut Lint<'_>, file: &SabotageFile) -> Option<Sabotage> {
        let red_at = self.red_at(lint, file);
        let change = self.change(lint, file);
        let (red_at, change) = (red_at?, change?);
        if let Change::Run { before, .. } = change {
            self.in_time(lint, before, red_at);
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
            let message = "this sabotage names no step, so nothing says where it must be noticed";
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
                        format!("there is no step {number}"),
                        format!("the first is 1, the last {last}"),
                    ),
                }
            }
            StepRef::Name(name) => {
                let named = |step: &Step| step.name.as_ref() == Some(name);
                let mut found = (0..last).filter(|index| named(&self.steps[*index]));
                match (found.next(), found.next()) {
                    (Some(index), None) => return Some(index),
                    (Some(_), Some(_)) => (
                        format!("more than one step is called `{name}`"),
                        "write its number".into(),
                    ),
                    (None, _) => (format!("no step is called `{name}`"), self.names(name)),
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
        let stray = file.before.is_some() && file.run.is_none();
        let hint = "leave it away, or write `run`";
        lint.refuse(stray, &self.key("before"), "`before` is for `run`", hint);
        let kinds = [
            file.kernel_argument.clone().map(Change::KernelArgument),
            file.file.clone().map(Change::File),
            file.service.clone().map(Change::Service),
            file.disk_without_label
                .clone()
                .map(Change::DiskWithoutLabel),
            file.run
                .clone()
                .map(|command| Change::Run { command, before: 0 }),
        ];
        let mut names = Change::KINDS.iter();
        let kinds = kinds.map(|kind| (*names.next().unwrap_or(&""), kind));
        match kind::one(lint, kinds, self.path, "a sabotage")? {
            Change::KernelArgument(argument) => self.argument(lint, argument),
            Change::File(file) => self.file(lint, file),
            Change::Service(name) => self.service(lint, name),
            Change::DiskWithoutLabel(label) => self.disk(lint, label),
            Change::Run { command, .. } => self.run(lint, command, file.before.as_ref()),
        }
    }

    fn argument(&self, lint: &mut Lint<'_>, argument: String) -> Option<Change> {
        let path = self.key("kernel_argument");
        if key(&argument).trim().is_empty() || argument.contains('\n') {
            lint.value(&path, "this is no kernel argument", "write `KEY=VALUE`");
            return None;
        }
        if self.head.machine.kernel_arguments.contains(&argument) {
            let hint = "give it another value";
            lint.value(&path, "the machine has this kernel argument anyway", hint);
            return None;
        }
        Some(Change::KernelArgument(argument))
    }

    fn file(&self, lint: &mut Lint<'_>, file: InitrdFile) -> Option<Change> {
        let parts = file.path.strip_prefix('/').unwrap_or_default().split('/');
        if parts.clone().any(|part| matches!(part, "" | "." | "..")) {
            let hint = "write it from the root of the initrd, as `/init`";
            lint.value(&self.key("file.path"), "this is no path of a file", hint);
            return None;
        }
        Some(Change::File(file))
    }

    fn service(&self, lint: &mut Lint<'_>, name: String) -> Option<Change> {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        if name.is_empty() || !name.chars().all(fits) {
            let hint = "write its name as `system-docker ps` has it";
            lint.value(
                &self.key("service"),
                "no system container is called so",
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
            labels => format!("its disks have: {}", labels.join(", ")),
        };
        let message = format!("the machine has no disk with the label `{label}`");
        lint.value(&self.key("disk_without_label"), message, hint);
        None
    }

    fn run(
        &self,
        lint: &mut Lint<'_>,
        command: String,
        before: Option<&StepRef>,
    ) -> Option<Change> {
        let path = self.key("run");
        let nothing = command.trim().is_empty();
        lint.refuse(
            nothing,
            &path,
            "this command does nothing",
            "write a command line",
        );
        let message = "this needs the trial's key, which the machine is not given";
        let hint = "sabotage it with a `kernel_argument` or a `file`";
        lint.refuse(!self.head.machine.ssh_key, &path, message, hint);
        let before = match before {
            Some(step) => self.step(lint, "before", step)?,
            None => 0,
        };
        (!nothing).then_some(Change::Run { command, before })
    }

    /// What comes after the red step turns nothing red.
    fn in_time(&self, lint: &mut Lint<'_>, before: usize, red_at: RedAt) {
        let too_late = match red_at {
            RedAt::Step(step) => before > step,
            RedAt::Ready | RedAt::Change => true,
        };
        let hint = "name a step that comes after it in `red_at`";
        let message = "this is run after the step that it must turn red";
        lint.refuse(too_late, &self.key("run"), message, hint);
    }
}

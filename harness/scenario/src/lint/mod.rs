//! Checks of a scenario beyond its schema: contradictory keys, steps without effect, scenarios that
//! cannot fail.

mod client;
mod docker;
mod expectation;
mod fault;
mod kind;
mod sabotage;
mod seed_data;
mod ssh;
mod wait;

use yaml::{Document, SourceError, closest};

use super::fault::FaultStep;
use super::file::{CloudConfig, DiskFile, MachineFile, ScenarioFile, Start};
use super::hotplug::Plugged;
use super::known_failure::KnownFailure;
use super::load::Step;
use super::setup::SetupFile;
use super::step::{Action, EventsStep, RebootStep, SerialStep, StepFile};

pub(super) use sabotage::sabotages;

/// Collects the errors and warnings of one file.
pub(super) struct Lint<'a> {
    pub(super) document: &'a Document,
    pub(super) errors: Vec<SourceError>,
    pub(super) warnings: Vec<SourceError>,
}

impl<'a> Lint<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        Self {
            document,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds an error at a key.
    fn key(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.errors
            .push(self.document.at_key(path, message).hint(hint));
    }

    /// Adds an error at the value of a key.
    fn value(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.errors
            .push(self.document.at_value(path, message).hint(hint));
    }

    /// Adds a warning at the value of a key.
    fn warn(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let warning = self.document.at_value(path, message).hint(hint);
        self.warnings.push(warning.warning());
    }

    /// Adds the error of an unknown setup.
    pub(super) fn no_setup(&mut self, name: &str, hint: String) {
        self.value("setup", format!("unknown setup `{name}`"), hint);
    }

    /// Adds an error at a key if `invalid`.
    fn refuse(&mut self, invalid: bool, path: &str, message: &str, hint: &str) {
        if invalid {
            self.key(path, message, hint);
        }
    }
}

/// Checks the head: names, profiles, machine.
pub(super) fn head<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, profiles: &[String]) {
    named(
        lint,
        &head.name,
        &head.about,
        "write one sentence about what it proves",
    );
    if head.profiles.is_empty() {
        lint.key(
            "profiles",
            "no profiles; the scenario never runs",
            "remove the key for the default, `[q35]`",
        );
    }
    named_profiles(lint, head, profiles);
    if let Some(known) = &head.known_failure {
        known_failure(lint, known);
    }
    machine(lint, &head.machine);
    for (number, file) in head.collect.iter().enumerate() {
        absolute(lint, file, &format!("collect[{number}]"));
    }
    if let Some(ready) = &head.ready {
        wait::step(lint, ready, "ready", "`ready`");
        let needs_login = ready.ssh.is_some() || ready.container.is_some();
        let message = "this needs a login, and the machine has no key of the trial";
        let hint = "wait for `serial` or `event`";
        lint.refuse(needs_login && !head.machine.ssh_key, "ready", message, hint);
        let message = "silence does not mean that the machine is ready";
        let hint = "wait for `ssh`, `serial`, `event` or `container`";
        lint.refuse(ready.silence.is_some(), "ready.silence", message, hint);
    }
}

fn named(lint: &mut Lint<'_>, name: &str, about: &str, about_hint: &str) {
    let stem = lint.document.file().file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy().into_owned();
    if name != stem {
        let message = format!("the name is `{name}` but the file is `{stem}.yaml`");
        let hint = format!("write `name: {stem}`, or rename the file");
        lint.value("name", message, hint);
    }
    if about.trim().is_empty() {
        lint.value("about", "`about` is empty", about_hint);
    }
}

/// Checks a setup: its head, and its steps.
pub(super) fn setup<S>(lint: &mut Lint<'_>, head: &SetupFile<S>, steps: &[Step]) {
    named(
        lint,
        &head.name,
        &head.about,
        "write one sentence about the state that it leaves",
    );
    machine(lint, &head.machine);
    if head.steps.is_empty() {
        let hint = "add a step; a scenario can have `machine` without a setup";
        lint.key("steps", "no steps", hint);
    }
    if steps.len() == head.steps.len() {
        let hint = "check the boot in a scenario with `start: cold`";
        about_the_boot(lint, steps, hint);
        fault::in_setup(lint, steps);
    }
}

fn known_failure(lint: &mut Lint<'_>, known: &KnownFailure) {
    for (key, text, hint) in [
        (
            "reason",
            &known.reason,
            "write one sentence about why it fails",
        ),
        (
            "ticket",
            &known.ticket,
            "write a link or a number of the ticket",
        ),
    ] {
        if text.trim().is_empty() {
            let path = format!("known_failure.{key}");
            lint.value(&path, format!("`{key}` is empty"), hint);
        }
    }
}

/// Checks that each profile of the head exists and is listed once.
fn named_profiles<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, profiles: &[String]) {
    let mut seen: Vec<&String> = Vec::new();
    for (key, list) in [
        ("profiles", &head.profiles),
        ("more_profiles", &head.more_profiles),
    ] {
        for (number, wanted) in list.iter().enumerate() {
            let path = format!("{key}[{number}]");
            if !profiles.contains(wanted) {
                let hint = known_profiles(wanted, profiles);
                lint.value(&path, format!("unknown profile `{wanted}`"), hint);
            }
            if seen.contains(&wanted) {
                let message = format!("duplicate profile `{wanted}`");
                lint.value(&path, message, "remove one of them");
            }
            seen.push(wanted);
        }
    }
}

fn known_profiles(wanted: &str, profiles: &[String]) -> String {
    let list = format!("`qemu-profiles/` contains: {}", profiles.join(", "));
    match closest(wanted, profiles.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}

fn machine(lint: &mut Lint<'_>, machine: &MachineFile) {
    let key =
        (machine.ssh_key && !machine.has_key_placeholder()).then_some("ssh-ed25519 AAAA lint");
    if let Err(error) = CloudConfig::render(machine.cloud_config.as_ref(), key) {
        let hint = "correct it, or write `ssh_key: false` for a machine without the trial's key";
        lint.key("machine.cloud_config", error, hint);
    }
    for (number, argument) in machine.kernel_arguments.iter().enumerate() {
        if !is_kernel_argument(argument) {
            let path = format!("machine.kernel_arguments[{number}]");
            lint.value(
                &path,
                "not one kernel argument",
                "write one argument per entry; put spaces between double quotes: `a.b=\"c d\"`",
            );
        }
    }
    for (number, disk) in machine.disks.iter().enumerate() {
        self::disk(lint, disk, &format!("machine.disks[{number}]"));
    }
    seed_data::check(lint, machine);
    if machine.memory == Some(0) {
        lint.value("machine.memory", "0 MiB of memory", "`memory` is in MiB");
    }
}

/// Whether the kernel parses a text as one argument (next_arg, lib/cmdline.c).
fn is_kernel_argument(text: &str) -> bool {
    let mut quoted = false;
    let one = text.chars().all(|letter| {
        quoted ^= letter == '"';
        !letter.is_control() && (quoted || !letter.is_whitespace())
    });
    one && !quoted && !text.is_empty()
}

/// The longest label of an ext4 file system, in bytes (EXT4_LABEL_MAX).
const LONGEST_EXT4_LABEL: usize = 16;
/// The largest disk in MiB; the limit for disks of a profile is the same.
const LARGEST_DISK: u64 = 1 << 20;

/// The longest name of a GPT partition, in UTF-16 code units (UEFI specification, 5.3.3).
const LONGEST_PARTITION: usize = 36;

fn disk(lint: &mut Lint<'_>, disk: &DiskFile, path: &str) {
    if disk.size == 0 {
        let path = format!("{path}.size");
        lint.value(&path, "a disk of 0 MiB", "`size` is in MiB");
    }
    if disk.size > LARGEST_DISK {
        let hint = format!("`size` is in MiB, at most {LARGEST_DISK}");
        lint.value(&format!("{path}.size"), "the disk is too large", hint);
    }
    if let Some(label) = &disk.label {
        let length = (1..=LONGEST_EXT4_LABEL).contains(&label.len());
        if !length || label.chars().any(char::is_control) {
            let message = "not a label of an ext4 file system";
            let hint = format!("write 1 to {LONGEST_EXT4_LABEL} bytes without control characters");
            lint.value(&format!("{path}.label"), message, hint);
        }
    }
    if let Some(name) = &disk.partition {
        let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        if name.is_empty() || name.len() > LONGEST_PARTITION || !name.chars().all(plain) {
            let message = "not a partition name";
            let hint = format!(
                "write up to {LONGEST_PARTITION} printable ASCII characters without `\"` and `\\`"
            );
            lint.value(&format!("{path}.partition"), message, hint);
        }
        if (1..=2).contains(&disk.size) {
            let message = "the disk is too small for a partition";
            lint.value(
                &format!("{path}.size"),
                message,
                "add at least 1 MiB; the partition tables take 2 MiB",
            );
        }
    }
}

fn absolute(lint: &mut Lint<'_>, file: &str, path: &str) {
    if !file.starts_with('/') {
        let hint = format!("write `/{file}`");
        lint.value(path, "not an absolute path", hint);
    }
}

/// Checks one step: its kind, and the keys of that kind.
pub(super) fn step(lint: &mut Lint<'_>, step: StepFile, path: &str) -> Option<Action> {
    let action = kind::of_step(lint, step, path)?;
    match &action {
        Action::Ssh(step) => ssh::step(lint, step, &format!("{path}.ssh")),
        Action::Serial(step) => serial(lint, step, &format!("{path}.serial")),
        Action::Docker(step) => docker::step(lint, step, &format!("{path}.docker")),
        Action::Reboot(step) => reboot(lint, step, &format!("{path}.reboot")),
        Action::PowerCut(_) => {}
        Action::WaitFor(step) => {
            wait::step(lint, step, &format!("{path}.wait_for"), "a wait_for step")
        }
        Action::Events(step) => events(lint, step, &format!("{path}.events")),
        Action::Hotplug(step) => {
            let path = format!("{path}.hotplug");
            let one = kind::one(lint, step.kinds(), &path, "a hotplug step");
            if let Some(Plugged::Disk(plugged)) = one {
                disk(lint, plugged, &format!("{path}.disk"));
            }
        }
        Action::TimeServer(step) => {
            absolute(lint, &step.tell, &format!("{path}.time_server.tell"));
        }
        Action::Client(step) => client::step(lint, step, &format!("{path}.client")),
        Action::NameServer(step) => {
            absolute(lint, &step.tell, &format!("{path}.name_server.tell"));
        }
        Action::Fault(step) => fault::step(lint, step, path),
    }
    Some(action)
}

fn serial(lint: &mut Lint<'_>, step: &SerialStep, path: &str) {
    let dialogue = step.send.is_some() || step.expect.is_some();
    if !dialogue && step.login.is_none() && step.run.is_none() {
        lint.key(
            path,
            "this step does nothing",
            "write `run`, `send`, `expect` or `login`",
        );
    }
    let both = (dialogue || step.run.is_some()) && step.login.is_some();
    let hint = "split it into two steps";
    lint.refuse(
        both,
        &format!("{path}.login"),
        "`login` cannot be combined with `run`, `send` or `expect`",
        hint,
    );
    let both = dialogue && step.run.is_some();
    let message = "`run` cannot be combined with `send` or `expect`";
    lint.refuse(both, &format!("{path}.run"), message, hint);
    let empty = step.run.as_ref().is_some_and(|run| run.trim().is_empty());
    let message = "the command is empty";
    lint.refuse(
        empty,
        &format!("{path}.run"),
        message,
        "write a command line",
    );
    for (key, given) in [
        ("exit", step.exit.is_some()),
        ("stdout", step.stdout.is_some()),
    ] {
        let message = format!("`{key}` has no effect without `run`");
        let hint = "write `run` instead of `send`";
        lint.refuse(
            given && step.run.is_none(),
            &format!("{path}.{key}"),
            &message,
            hint,
        );
    }
    expectation::text(lint, step.stdout.as_ref(), &format!("{path}.stdout"));
}

fn reboot(lint: &mut Lint<'_>, step: &RebootStep, path: &str) {
    if step
        .command
        .as_ref()
        .is_some_and(|command| command.trim().is_empty())
    {
        lint.value(
            &format!("{path}.command"),
            "the command is empty",
            "write a command line, or `reboot: {}` for the default",
        );
    }
}

fn events(lint: &mut Lint<'_>, step: &EventsStep, path: &str) {
    if step.order.is_empty() && step.failed.is_none() {
        lint.key(
            path,
            "this step checks nothing",
            "write `order: [...]` or `failed: []`",
        );
    }
}

/// Checks the scenario as a whole: whether it can fail, and whether it can log in.
pub(super) fn whole<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    if head.steps.is_empty() {
        lint.key(
            "steps",
            "no steps; the scenario cannot fail",
            "add a step that checks something",
        );
    }
    if steps.len() != head.steps.len() {
        // Invalid steps are already reported, and without them the indices of the others are wrong.
        return;
    }
    if !steps.is_empty() && !steps.iter().any(checks) {
        let hint = "add a step that checks something, e.g. `ssh: {run: ...}`";
        lint.key(
            "steps",
            "no step checks anything; the scenario cannot fail",
            hint,
        );
    }
    fault::in_order(lint, head, steps);
    if !head.machine.ssh_key {
        without_key(lint, steps, "steps");
    }
    if head.start == Start::Fork {
        forked(lint, head, steps);
    }
}

/// Checks that invariants only query the machine: they run many times in the background.
pub(super) fn invariants<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    if steps.len() != head.invariants.len() {
        return;
    }
    if !head.machine.ssh_key {
        without_key(lint, steps, "invariants");
    }
    for (number, step) in steps.iter().enumerate() {
        let queries = match &step.action {
            Action::Ssh(step) => step.run.is_some(),
            Action::Docker(step) => step.ps.is_some() || step.exec.is_some(),
            _ => false,
        };
        let hint = "write `ssh: {run: ...}`, `docker: {ps: ...}` or `docker: {exec: ...}`";
        let message = "an invariant can only query the machine";
        lint.refuse(!queries, &format!("invariants[{number}]"), message, hint);
    }
}

/// Checks a scenario that starts from a fork: it needs the trial's key, and did not boot itself.
fn forked<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    let hint = "add `start: cold`";
    let message = "a machine without the trial's key cannot be forked";
    lint.refuse(!head.machine.ssh_key, "machine.ssh_key", message, hint);
    about_the_boot(lint, steps, hint);
}

/// Refuses steps about the boot in a machine that did not boot itself.
fn about_the_boot(lint: &mut Lint<'_>, steps: &[Step], hint: &str) {
    let rebooted = |step: &Step| {
        let crash = |action: &Action| matches!(action, Action::Fault(FaultStep::Crash(_)));
        matches!(step.action, Action::Reboot(_) | Action::PowerCut(_)) || crash(&step.action)
    };
    let before = steps.iter().take_while(|step| !rebooted(step));
    for (number, step) in before.enumerate() {
        let about_boot = match &step.action {
            Action::Events(_) => true,
            Action::WaitFor(step) => step.event.is_some() || step.serial.is_some(),
            _ => false,
        };
        let message = "this step checks the boot, and a fork does not boot";
        let serial = matches!(&step.action, Action::WaitFor(step) if step.serial.is_some());
        let hint = if serial {
            format!("write `serial: {{ expect: ... }}` for console output from here on; or {hint}")
        } else {
            hint.to_owned()
        };
        lint.refuse(about_boot, &format!("steps[{number}]"), message, &hint);
    }
}

/// Whether the machine can make a step fail.
fn checks(step: &Step) -> bool {
    match &step.action {
        Action::Serial(step) => step.expect.is_some() || step.login.is_some() || step.run.is_some(),
        Action::Fault(step) => step.checks(),
        Action::Hotplug(_) | Action::TimeServer(_) | Action::NameServer(_) => false,
        _ => true,
    }
}

/// Refuses steps that need the trial's own login on a machine without the trial's key.
fn without_key(lint: &mut Lint<'_>, steps: &[Step], key: &str) {
    for (number, step) in steps.iter().enumerate() {
        let needs = match &step.action {
            Action::Ssh(step) => step.password.is_none() && step.key.is_none(),
            Action::Docker(_)
            | Action::Reboot(_)
            | Action::TimeServer(_)
            | Action::Client(_)
            | Action::NameServer(_) => true,
            Action::WaitFor(step) => step.ssh.is_some() || step.container.is_some(),
            Action::Serial(_) | Action::PowerCut(_) | Action::Events(_) | Action::Hotplug(_) => {
                false
            }
            Action::Fault(step) => step.needs_login(),
        };
        let hint = "remove `ssh_key: false`, or log in with `password` or `key`";
        let message = "this step needs the trial's key, which the machine does not have";
        lint.refuse(needs, &format!("{key}[{number}]"), message, hint);
    }
}

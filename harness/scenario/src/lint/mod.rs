//! What is wrong with a scenario although each word of it is known: combinations that cannot be,
//! steps that do nothing, scenarios that cannot fail.

mod client;
mod docker;
mod expectation;
mod fault;
mod kind;
mod sabotage;
mod ssh;
mod told;
mod wait;

use yaml::{Document, SourceError, closest};

use super::fault::FaultStep;
use super::file::{CloudConfig, DiskFile, MachineFile, ScenarioFile, Start};
use super::known_failure::KnownFailure;
use super::load::Step;
use super::setup::SetupFile;
use super::step::{Action, EventsStep, RebootStep, SerialStep, StepFile};
use super::supply::Plugged;

pub(super) use sabotage::sabotages;

/// Finds, and remembers what it found.
pub(super) struct Lint<'a> {
    pub(super) document: &'a Document,
    pub(super) found: Vec<SourceError>,
    pub(super) warned: Vec<SourceError>,
}

impl<'a> Lint<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        Self {
            document,
            found: Vec::new(),
            warned: Vec::new(),
        }
    }

    /// Something is wrong with a key.
    fn key(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.found
            .push(self.document.at_key(path, message).hint(hint));
    }

    /// Something is wrong with what stands behind a key.
    fn value(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.found
            .push(self.document.at_value(path, message).hint(hint));
    }

    /// Something behind a key should be better.
    fn warn(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let warning = self.document.at_value(path, message).hint(hint);
        self.warned.push(warning.warning());
    }

    /// There is no such setup.
    pub(super) fn no_setup(&mut self, name: &str, hint: String) {
        self.value("setup", format!("there is no setup `{name}`"), hint);
    }

    /// `wrong` must not be there, because of `why`.
    fn refuse(&mut self, wrong: bool, path: &str, message: &str, hint: &str) {
        if wrong {
            self.key(path, message, hint);
        }
    }
}

/// The head: names, profiles, machine.
pub(super) fn head<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, profiles: &[String]) {
    named(
        lint,
        &head.name,
        &head.about,
        "say in a sentence what it proves",
    );
    if head.profiles.is_empty() {
        lint.key(
            "profiles",
            "there are no profiles, so it never runs",
            "leave the key away for `q35`",
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
        let asks = ready.ssh.is_some() || ready.container.is_some();
        let message = "nobody is let in who could ask";
        let hint = "wait for `serial` or `event`";
        lint.refuse(asks && !head.machine.ssh_key, "ready", message, hint);
        let message = "a machine that says nothing is not ready";
        let hint = "wait for what it does";
        lint.refuse(ready.silence.is_some(), "ready.silence", message, hint);
    }
}

fn named(lint: &mut Lint<'_>, name: &str, about: &str, to_say: &str) {
    let stem = lint.document.file().file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy().into_owned();
    if name != stem {
        let message = format!("the name is `{name}` but the file `{stem}.yaml`");
        let hint = format!("write `name: {stem}` or rename the file");
        lint.value("name", message, hint);
    }
    if about.trim().is_empty() {
        lint.value("about", "nothing is said about it", to_say);
    }
}

/// A setup: its head, and what its steps can be about.
pub(super) fn setup<S>(lint: &mut Lint<'_>, head: &SetupFile<S>, steps: &[Step]) {
    named(
        lint,
        &head.name,
        &head.about,
        "say in a sentence what is there when it is done",
    );
    machine(lint, &head.machine);
    if head.steps.is_empty() {
        let hint = "a setup does something; `machine` alone can stand in a scenario";
        lint.key("steps", "there are no steps", hint);
    }
    if steps.len() == head.steps.len() {
        let hint = "only `start: cold` in a scenario shows a boot";
        about_the_boot(lint, steps, hint);
        fault::in_setup(lint, steps);
    }
}

fn known_failure(lint: &mut Lint<'_>, known: &KnownFailure) {
    for (key, text, hint) in [
        ("reason", &known.reason, "say in a sentence why it fails"),
        ("ticket", &known.ticket, "name where it is worked on"),
    ] {
        if text.trim().is_empty() {
            let path = format!("known_failure.{key}");
            lint.value(&path, format!("`{key}` says nothing"), hint);
        }
    }
}

/// Each profile of the head is one that exists, and is there once.
fn named_profiles<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, profiles: &[String]) {
    let mut before: Vec<&String> = Vec::new();
    for (key, list) in [
        ("profiles", &head.profiles),
        ("more_profiles", &head.more_profiles),
    ] {
        for (number, wanted) in list.iter().enumerate() {
            let path = format!("{key}[{number}]");
            if !profiles.contains(wanted) {
                let hint = known_profiles(wanted, profiles);
                lint.value(&path, format!("there is no profile `{wanted}`"), hint);
            }
            if before.contains(&wanted) {
                let message = format!("the profile `{wanted}` is here twice");
                lint.value(&path, message, "leave one away");
            }
            before.push(wanted);
        }
    }
}

fn known_profiles(wanted: &str, profiles: &[String]) -> String {
    let list = format!("`qemu-profiles/` has: {}", profiles.join(", "));
    match closest(wanted, profiles.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}

fn machine(lint: &mut Lint<'_>, machine: &MachineFile) {
    let key = (machine.ssh_key && !machine.tells_key()).then_some("ssh-ed25519 AAAA lint");
    if let Err(why) = CloudConfig::render(machine.cloud_config.as_ref(), key) {
        let hint = "or write `ssh_key: false` for a machine without the trial's key";
        lint.key("machine.cloud_config", why, hint);
    }
    for (number, argument) in machine.kernel_arguments.iter().enumerate() {
        if !is_kernel_argument(argument) {
            let path = format!("machine.kernel_arguments[{number}]");
            lint.value(
                &path,
                "this is not one kernel argument",
                "write one argument an entry; blanks can stand between double quotes: `a.b=\"c d\"`",
            );
        }
    }
    for (number, disk) in machine.disks.iter().enumerate() {
        self::disk(lint, disk, &format!("machine.disks[{number}]"));
    }
    told::told(lint, machine);
    if machine.memory == Some(0) {
        lint.value(
            "machine.memory",
            "a machine without memory",
            "`memory` is in MiB",
        );
    }
}

/// Whether the kernel takes a word for one argument (next_arg, lib/cmdline.c).
fn is_kernel_argument(word: &str) -> bool {
    let mut quoted = false;
    let one = word.chars().all(|letter| {
        quoted ^= letter == '"';
        !letter.is_control() && (quoted || !letter.is_whitespace())
    });
    one && !quoted && !word.is_empty()
}

/// Bytes of a label of ext4 (EXT4_LABEL_MAX).
const LONGEST_EXT4_LABEL: usize = 16;
/// MiB of a disk, as of those of a profile.
const LARGEST_DISK: u64 = 1 << 20;

/// The name of a GPT partition in UTF-16 units: UEFI specification, 5.3.3.
const LONGEST_PARTITION: usize = 36;

fn disk(lint: &mut Lint<'_>, disk: &DiskFile, path: &str) {
    if disk.size == 0 {
        let path = format!("{path}.size");
        lint.value(&path, "a disk of no size", "`size` is in MiB");
    }
    if disk.size > LARGEST_DISK {
        let hint = format!("`size` is in MiB, at most {LARGEST_DISK}");
        lint.value(&format!("{path}.size"), "a disk that is too large", hint);
    }
    if let Some(label) = &disk.label {
        let length = (1..=LONGEST_EXT4_LABEL).contains(&label.len());
        if !length || label.chars().any(char::is_control) {
            let message = "this cannot be the label of an ext4 file system";
            let hint = format!("write 1 to {LONGEST_EXT4_LABEL} letters");
            lint.value(&format!("{path}.label"), message, hint);
        }
    }
    if let Some(name) = &disk.partition {
        let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        if name.is_empty() || name.len() > LONGEST_PARTITION || !name.chars().all(plain) {
            let message = "this is no name of a partition";
            let hint = format!("up to {LONGEST_PARTITION} letters, digits and signs");
            lint.value(&format!("{path}.partition"), message, hint);
        }
        if (1..=2).contains(&disk.size) {
            let message = "a disk without room for a partition";
            lint.value(&format!("{path}.size"), message, "its tables take 2 MiB");
        }
    }
}

fn absolute(lint: &mut Lint<'_>, file: &str, path: &str) {
    if !file.starts_with('/') {
        let hint = format!("write `/{file}`");
        lint.value(path, "this is no path from the root", hint);
    }
}

/// One step: of one kind, and what that kind wants.
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
    let talks = step.send.is_some() || step.expect.is_some();
    if !talks && step.login.is_none() && step.run.is_none() {
        lint.key(
            path,
            "this step does nothing",
            "write `run`, `send`, `expect` or `login`",
        );
    }
    let both = (talks || step.run.is_some()) && step.login.is_some();
    let hint = "make two steps of it";
    lint.refuse(
        both,
        &format!("{path}.login"),
        "`login` has a dialogue of its own",
        hint,
    );
    let both = talks && step.run.is_some();
    let message = "`run` types and reads by itself";
    lint.refuse(both, &format!("{path}.run"), message, hint);
    let nothing = step.run.as_ref().is_some_and(|run| run.trim().is_empty());
    let message = "this command does nothing";
    lint.refuse(
        nothing,
        &format!("{path}.run"),
        message,
        "write a command line",
    );
    for (key, given) in [
        ("exit", step.exit.is_some()),
        ("stdout", step.stdout.is_some()),
    ] {
        let message = format!("`{key}` is about `run`, which is not there");
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
            "this command does nothing",
            "`reboot: {}` has one",
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

/// All of it together: can it fail, and can it log in?
pub(super) fn whole<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    if head.steps.is_empty() {
        lint.key(
            "steps",
            "there are no steps, so it cannot fail",
            "a scenario checks something",
        );
    }
    if steps.len() != head.steps.len() {
        // Some make no sense by themselves, which is told; the others are not at their places.
        return;
    }
    if !steps.is_empty() && !steps.iter().any(checks) {
        let hint = "add a step that expects something, for instance `ssh: {run: ...}`";
        lint.key("steps", "no step checks anything, so it cannot fail", hint);
    }
    fault::in_order(lint, head, steps);
    if !head.machine.ssh_key {
        without_key(lint, steps, "steps");
    }
    if head.start == Start::Fork {
        forked(lint, head, steps);
    }
}

/// What can be asked again and again, without anybody noticing.
pub(super) fn invariants<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    if steps.len() != head.invariants.len() {
        return;
    }
    if !head.machine.ssh_key {
        without_key(lint, steps, "invariants");
    }
    for (number, step) in steps.iter().enumerate() {
        let asks = match &step.action {
            Action::Ssh(step) => step.run.is_some(),
            Action::Docker(step) => step.ps.is_some() || step.exec.is_some(),
            _ => false,
        };
        let hint =
            "an invariant asks: `ssh: {run: ...}`, `docker: {ps: ...}` or `docker: {exec: ...}`";
        let message = "this step changes the machine, or waits for it";
        lint.refuse(!asks, &format!("invariants[{number}]"), message, hint);
    }
}

/// A fork is ready when the trial's key is let in, and its boot was another machine's.
fn forked<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    let hint = "add `start: cold`";
    let message = "a machine that lets nobody in cannot be forked";
    lint.refuse(!head.machine.ssh_key, "machine.ssh_key", message, hint);
    about_the_boot(lint, steps, hint);
}

/// Refuses steps about a boot that was another machine's.
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
        let message = "this step is about the boot, which a fork has behind it";
        let serial = matches!(&step.action, Action::WaitFor(step) if step.serial.is_some());
        let hint = if serial {
            format!(
                "for what the console says from here on write `serial: {{ expect: ... }}`; {hint}"
            )
        } else {
            hint.to_owned()
        };
        lint.refuse(about_boot, &format!("steps[{number}]"), message, &hint);
    }
}

/// Whether a step could ever be red because of the machine.
fn checks(step: &Step) -> bool {
    match &step.action {
        Action::Serial(step) => step.expect.is_some() || step.login.is_some() || step.run.is_some(),
        Action::Fault(step) => step.checks(),
        Action::Hotplug(_) | Action::TimeServer(_) | Action::NameServer(_) => false,
        _ => true,
    }
}

/// Without the trial's key, no step may need the trial's own connection.
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
        let hint = "leave `ssh_key: false` away, or log in with `password` or `key`";
        let message = "this step logs in with the trial's key, which the machine is not given";
        lint.refuse(needs, &format!("{key}[{number}]"), message, hint);
    }
}

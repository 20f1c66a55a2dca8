//! Checks of Docker steps.

use super::super::docker::{DockerAction, DockerImport, DockerPs, DockerRun, DockerStep};
use super::{Lint, expectation, kind};

pub(super) fn step(lint: &mut Lint<'_>, step: &DockerStep, path: &str) {
    if let Some(tls) = &step.tls {
        super::machine::absolute(lint, &tls.certificates, &format!("{path}.tls.certificates"));
    }
    match kind::one(lint, step.kinds(), path, "a docker step") {
        Some(DockerAction::Run(action)) => run(lint, action, &format!("{path}.run")),
        Some(DockerAction::Ps(action)) => ps(lint, action, &format!("{path}.ps")),
        Some(DockerAction::Exec(action)) => {
            let path = format!("{path}.exec");
            command(lint, &action.command, &path);
            expectation::exit(lint, action.exit, &format!("{path}.exit"));
            expectation::text(lint, action.stdout.as_ref(), &format!("{path}.stdout"));
            expectation::text(lint, action.stderr.as_ref(), &format!("{path}.stderr"));
        }
        Some(DockerAction::Import(action)) => import(lint, action, &format!("{path}.import")),
        None => {}
    }
}

fn run(lint: &mut Lint<'_>, run: &DockerRun, path: &str) {
    command(lint, &run.command, path);
    expectation::exit(lint, run.exit, &format!("{path}.exit"));
    let expectations = [
        ("exit", run.exit.is_some()),
        ("stdout", run.stdout.is_some()),
        ("stderr", run.stderr.is_some()),
    ];
    for (key, given) in expectations {
        let message = format!("`{key}` cannot be combined with `detach`");
        let hint = "remove one of the two";
        lint.refuse(
            given && run.detach,
            &format!("{path}.{key}"),
            &message,
            hint,
        );
    }
    let nameless = run.detach && run.name.is_none();
    let message = "a detached container needs a name";
    lint.refuse(nameless, &format!("{path}.detach"), message, "add `name`");
    expectation::text(lint, run.stdout.as_ref(), &format!("{path}.stdout"));
    expectation::text(lint, run.stderr.as_ref(), &format!("{path}.stderr"));
}

fn command(lint: &mut Lint<'_>, command: &[String], path: &str) {
    if command.is_empty() {
        lint.value(
            &format!("{path}.command"),
            "the command is empty",
            "write [program, ...]",
        );
    }
}

fn ps(lint: &mut Lint<'_>, ps: &DockerPs, path: &str) {
    if ps.contains.is_none() && ps.lacks.is_none() && ps.count.is_none() {
        lint.key(
            path,
            "this step checks nothing",
            "write `contains`, `lacks` or `count`",
        );
    }
    expectation::not_empty(lint, ps.contains.as_ref(), &format!("{path}.contains"));
    expectation::not_empty(lint, ps.lacks.as_ref(), &format!("{path}.lacks"));
    let (Some(contains), Some(lacks)) = (&ps.contains, &ps.lacks) else {
        return;
    };
    if let Some(both) = contains.0.iter().find(|name| lacks.0.contains(name)) {
        let message = format!("`{both}` is in `contains` and in `lacks`");
        lint.key(&format!("{path}.lacks"), message, "remove one of the two");
    }
}

fn import(lint: &mut Lint<'_>, import: &DockerImport, path: &str) {
    if import.files.is_empty() {
        lint.value(
            &format!("{path}.files"),
            "the image has no files",
            "list files of the machine, e.g. `[/bin/busybox]`",
        );
    }
    for (number, file) in import.files.iter().enumerate() {
        if !file.starts_with('/') {
            let path = format!("{path}.files[{number}]");
            lint.value(&path, "not an absolute path", format!("write `/{file}`"));
        }
    }
}

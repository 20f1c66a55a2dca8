//! Docker steps.

use super::super::docker::{DockerAction, DockerImport, DockerPs, DockerRun, DockerStep};
use super::{Lint, expectation, kind};

pub(super) fn step(lint: &mut Lint<'_>, step: &DockerStep, path: &str) {
    if let Some(tls) = &step.tls {
        super::absolute(lint, &tls.certificates, &format!("{path}.tls.certificates"));
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
    let wanted = [
        ("exit", run.exit.is_some()),
        ("stdout", run.stdout.is_some()),
        ("stderr", run.stderr.is_some()),
    ];
    for (key, given) in wanted {
        let message = format!("`{key}` of a container that is left running");
        let hint = "leave it away, or `detach`";
        lint.refuse(
            given && run.detach,
            &format!("{path}.{key}"),
            &message,
            hint,
        );
    }
    let lost = run.detach && run.name.is_none();
    let message = "a container that is left running needs a name to find it again";
    lint.refuse(lost, &format!("{path}.detach"), message, "add `name`");
    expectation::text(lint, run.stdout.as_ref(), &format!("{path}.stdout"));
    expectation::text(lint, run.stderr.as_ref(), &format!("{path}.stderr"));
}

fn command(lint: &mut Lint<'_>, command: &[String], path: &str) {
    if command.is_empty() {
        lint.value(
            &format!("{path}.command"),
            "this command does nothing",
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
    expectation::some(lint, ps.contains.as_ref(), &format!("{path}.contains"));
    expectation::some(lint, ps.lacks.as_ref(), &format!("{path}.lacks"));
    let (Some(contains), Some(lacks)) = (&ps.contains, &ps.lacks) else {
        return;
    };
    if let Some(both) = contains.0.iter().find(|name| lacks.0.contains(name)) {
        let message = format!("`{both}` is to be there and not to be there");
        lint.key(
            &format!("{path}.lacks"),
            message,
            "leave one of the two away",
        );
    }
}

fn import(lint: &mut Lint<'_>, import: &DockerImport, path: &str) {
    if import.files.is_empty() {
        lint.value(
            &format!("{path}.files"),
            "an image of no files",
            "for instance [/bin/busybox]",
        );
    }
    for (number, file) in import.files.iter().enumerate() {
        if !file.starts_with('/') {
            let path = format!("{path}.files[{number}]");
            lint.value(
                &path,
                "this is no path from the root",
                format!("write `/{file}`"),
            );
        }
    }
}

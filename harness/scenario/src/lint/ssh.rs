//! Checks of SSH steps.

use super::super::step::{Account, SshStep, Upload};
use super::super::upload;
use super::{Lint, expectation};

pub(super) fn step(lint: &mut Lint<'_>, step: &SshStep, path: &str) {
    expectation::exit(lint, step.exit.map(i64::from), &format!("{path}.exit"));
    login(lint, step, path);
    if step.expect_refused {
        refused(lint, step, path);
    } else {
        command_or_upload(lint, step, path);
    }
    expectation::text(lint, step.stdout.as_ref(), &format!("{path}.stdout"));
    expectation::text(lint, step.stderr.as_ref(), &format!("{path}.stderr"));
}

fn login(lint: &mut Lint<'_>, step: &SshStep, path: &str) {
    let both = step.password.is_some() && step.key.is_some();
    let message = "`password` cannot be combined with `key`";
    lint.refuse(
        both,
        &format!("{path}.password"),
        message,
        "remove one of the two",
    );
    let nameless = step.user.is_some() && step.password.is_none() && step.key.is_none();
    let message = "`user` needs `password` or `key`";
    lint.refuse(
        nameless,
        &format!("{path}.user"),
        message,
        "write `as: root` for sudo",
    );
}

fn refused(lint: &mut Lint<'_>, step: &SshStep, path: &str) {
    let keys = [
        ("run", step.run.is_some()),
        ("upload", step.upload.is_some()),
        ("exit", step.exit.is_some()),
        ("stdout", step.stdout.is_some()),
        ("stderr", step.stderr.is_some()),
        ("as", step.account == Account::Root),
    ];
    for (key, invalid) in keys {
        let message = format!("`{key}` cannot be combined with `expect_refused`");
        let hint = "remove one of the two";
        lint.refuse(invalid, &format!("{path}.{key}"), &message, hint);
    }
    let own = step.password.is_none() && step.key.is_none();
    let message = "`expect_refused` needs a login other than the trial's own";
    lint.refuse(
        own,
        &format!("{path}.expect_refused"),
        message,
        "add `password` or `key: stranger`",
    );
}

fn command_or_upload(lint: &mut Lint<'_>, step: &SshStep, path: &str) {
    match (&step.run, &step.upload) {
        (None, None) => {
            lint.key(
                path,
                "this step does nothing",
                "write `run`, `upload` or `expect_refused`",
            );
        }
        (Some(_), Some(_)) => {
            let message = "`run` cannot be combined with `upload`";
            lint.key(
                &format!("{path}.upload"),
                message,
                "split it into two steps",
            );
        }
        (Some(run), None) if run.trim().is_empty() => {
            lint.value(
                &format!("{path}.run"),
                "the command is empty",
                "write a command line",
            );
        }
        (Some(_), None) => {}
        (None, Some(upload)) => {
            source(lint, upload, &format!("{path}.upload"));
            let checks = step.stdout.is_some() || step.stderr.is_some() || step.exit.is_some();
            let message = "`upload` cannot be combined with `exit`, `stdout` or `stderr`";
            lint.refuse(
                checks,
                &format!("{path}.upload"),
                message,
                "split it into two steps",
            );
        }
    }
}

/// Checks that an upload has exactly one source: `content` or `from`.
fn source(lint: &mut Lint<'_>, upload: &Upload, path: &str) {
    match (&upload.content, &upload.from) {
        (None, None) => {
            let hint = "write `content: ...`, or `from: FILE` for a file in the scenarios folder";
            lint.key(path, "the upload has no content", hint);
        }
        (Some(_), Some(_)) => {
            let message = "`content` cannot be combined with `from`";
            lint.key(&format!("{path}.from"), message, "remove one of the two");
        }
        (None, Some(from)) => {
            let folder = upload::folder_of(lint.document.file());
            if let Err(error) = upload::inside(&folder, from) {
                let hint = "move it into the scenarios folder, or a folder below it";
                lint.value(&format!("{path}.from"), error, hint);
            }
        }
        (Some(_), None) => {}
    }
}

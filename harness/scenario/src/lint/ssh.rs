//! Steps over SSH.

use super::super::step::{Account, SshStep, Upload};
use super::super::upload;
use super::{Lint, expectation};

pub(super) fn step(lint: &mut Lint<'_>, step: &SshStep, path: &str) {
    expectation::exit(lint, step.exit.map(i64::from), &format!("{path}.exit"));
    login(lint, step, path);
    if step.expect_refused {
        refused(lint, step, path);
    } else {
        work(lint, step, path);
    }
    expectation::text(lint, step.stdout.as_ref(), &format!("{path}.stdout"));
    expectation::text(lint, step.stderr.as_ref(), &format!("{path}.stderr"));
}

fn login(lint: &mut Lint<'_>, step: &SshStep, path: &str) {
    let both = step.password.is_some() && step.key.is_some();
    let message = "a login is by key or by password";
    lint.refuse(
        both,
        &format!("{path}.password"),
        message,
        "leave one of the two away",
    );
    let nameless = step.user.is_some() && step.password.is_none() && step.key.is_none();
    let message = "a user without a `password` or a `key`";
    lint.refuse(
        nameless,
        &format!("{path}.user"),
        message,
        "for sudo write `as: root`",
    );
}

fn refused(lint: &mut Lint<'_>, step: &SshStep, path: &str) {
    let wanted = [
        ("run", step.run.is_some()),
        ("upload", step.upload.is_some()),
        ("exit", step.exit.is_some()),
        ("stdout", step.stdout.is_some()),
        ("stderr", step.stderr.is_some()),
        ("as", step.account == Account::Root),
    ];
    for (key, wrong) in wanted {
        let message = format!("`{key}` after a login that must be refused");
        let hint = "leave it away, or `expect_refused`";
        lint.refuse(wrong, &format!("{path}.{key}"), &message, hint);
    }
    let own = step.password.is_none() && step.key.is_none();
    let message = "the trial's own login is never refused";
    lint.refuse(
        own,
        &format!("{path}.expect_refused"),
        message,
        "add `password` or `key: stranger`",
    );
}

fn work(lint: &mut Lint<'_>, step: &SshStep, path: &str) {
    match (&step.run, &step.upload) {
        (None, None) => {
            lint.key(
                path,
                "this step does nothing",
                "write `run`, `upload` or `expect_refused`",
            );
        }
        (Some(_), Some(_)) => {
            let message = "`run` and `upload` in one step";
            lint.key(&format!("{path}.upload"), message, "make two steps of it");
        }
        (Some(run), None) if run.trim().is_empty() => {
            lint.value(
                &format!("{path}.run"),
                "this command does nothing",
                "write a command line",
            );
        }
        (Some(_), None) => {}
        (None, Some(upload)) => {
            source(lint, upload, &format!("{path}.upload"));
            let checks = step.stdout.is_some() || step.stderr.is_some() || step.exit.is_some();
            let message = "an upload prints nothing to expect something of";
            lint.refuse(
                checks,
                &format!("{path}.upload"),
                message,
                "make two steps of it",
            );
        }
    }
}

/// An upload has a content, here or in a file of the project.
fn source(lint: &mut Lint<'_>, upload: &Upload, path: &str) {
    match (&upload.content, &upload.from) {
        (None, None) => {
            let hint = "write `content: ...`, or `from: FILE` for a file beside the scenario";
            lint.key(path, "this upload sends nothing", hint);
        }
        (Some(_), Some(_)) => {
            let message = "`content` and `from` in one upload";
            lint.key(
                &format!("{path}.from"),
                message,
                "leave one of the two away",
            );
        }
        (None, Some(from)) => {
            let folder = upload::folder_of(lint.document.file());
            if let Err(why) = upload::inside(&folder, from) {
                let hint = "put it beside the scenario, or into a folder there";
                lint.value(&format!("{path}.from"), why, hint);
            }
        }
        (Some(_), None) => {}
    }
}

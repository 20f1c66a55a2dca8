//! Commands, files and logins over SSH.

use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::expectation::{self, TextExpectation};
use super::super::upload;
use super::super::value::Account;
use super::StepKind;
use super::text::short;

/// The key of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyName {
    /// The key of the trial, which the machine authorises.
    Harness,
    /// A key that the machine does not know.
    Stranger,
}

/// A command, a file or a login over SSH. `user`, `password` and `key` open a new connection; the
/// default is the trial's own connection.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshStep {
    /// The command line, run by a shell.
    pub run: Option<String>,
    /// A file to send, instead of `run`.
    pub upload: Option<Upload>,
    /// Whose rights the command has.
    #[serde(rename = "as", default)]
    pub account: Account,
    /// The user that logs in; the default is `rancher`.
    pub user: Option<String>,
    /// The password of the login.
    pub password: Option<String>,
    /// The key of the login.
    pub key: Option<KeyName>,
    /// The login must be refused.
    #[serde(default)]
    pub expect_refused: bool,
    /// The expected exit status; the default is 0.
    pub exit: Option<i32>,
    /// The expected standard output.
    pub stdout: Option<TextExpectation>,
    /// The expected standard error.
    pub stderr: Option<TextExpectation>,
}

/// A file to send: either its `content`, or a file `from` the scenarios folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The content.
    pub content: Option<String>,
    /// A path in the scenarios folder.
    pub from: Option<String>,
    /// The path on the machine.
    pub to: String,
    /// Whether the file is executable.
    #[serde(default)]
    pub executable: bool,
}

impl Upload {
    /// The bytes to send: `content`, or the file `from` below `folder`.
    ///
    /// # Errors
    /// The file does not exist, is too large, or is outside the folder.
    pub fn bytes(&self, folder: &Path) -> Result<Vec<u8>, String> {
        match &self.from {
            Some(from) => {
                let file = upload::inside(folder, from)?;
                std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
            }
            None => Ok(self.content.clone().unwrap_or_default().into_bytes()),
        }
    }
}

impl StepKind for SshStep {
    fn title(&self) -> String {
        match (&self.run, &self.upload) {
            (Some(run), _) => format!("ssh: {}", short(run)),
            (None, Some(upload)) => format!("ssh: send {}", upload.to),
            (None, None) => "ssh: refused login".into(),
        }
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn needs_login(&self) -> bool {
        self.password.is_none() && self.key.is_none()
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        expectation::exit(lint, self.exit.map(i64::from), &format!("{path}.exit"));
        login(lint, self, path);
        if self.expect_refused {
            refused(lint, self, path);
        } else {
            command_or_upload(lint, self, path);
        }
        expectation::text(lint, self.stdout.as_ref(), &format!("{path}.stdout"));
        expectation::text(lint, self.stderr.as_ref(), &format!("{path}.stderr"));
    }

    fn needs_network(&self) -> bool {
        true
    }

    fn is_query(&self) -> bool {
        self.run.is_some()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_is_refused_when_the_file_is_outside_the_scenarios_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("scenarios");
        std::fs::create_dir_all(folder.join("files")).unwrap();
        std::fs::write(folder.join("files/tea"), "green").unwrap();
        std::fs::write(parent.path().join("secret"), "no").unwrap();
        std::os::unix::fs::symlink("../../secret", folder.join("files/link")).unwrap();
        let read = |from: &str| {
            let upload = Upload {
                content: None,
                from: Some(from.into()),
                to: "/tea".into(),
                executable: false,
            };
            upload
                .bytes(&folder)
                .map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(read("files/tea").as_deref(), Ok("green"));
        for (from, expected) in [
            ("../secret", "not a path below"),
            ("/etc/passwd", "not a path below"),
            ("files/../../secret", "not a path below"),
            ("files/link", "outside the scenarios folder"),
            ("files", "is not a file"),
            ("files/milk", "No such file"),
        ] {
            let error = read(from).unwrap_err();
            assert!(error.contains(expected), "{from}: {error}");
        }
    }
}

//! `harness enter --before` stops a trial before a step: a login finds the results of the earlier steps and
//! nothing of that step, and `harness stop` leaves no evidence.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use harness::artifacts::{Artifacts, INITRD_VARIABLE, KERNEL_VARIABLE};

use crate::tree;

const SCENARIO: &str = "\
name: tea
about: A note changes in its last step.
steps:
  - name: a note is written
    ssh: { run: echo before > note }
  - name: it is there
    ssh: { run: cat note, stdout: { equals: before } }
  - name: the note is changed
    ssh: { run: echo after > note; echo done, stdout: { equals: done } }
";

/// A separate tree, because each tree has at most one interactive machine.
struct Tree {
    folder: tempfile::TempDir,
    artifacts: Artifacts,
}

pub(crate) fn check(artifacts: &Artifacts) {
    let tree = Tree::new(artifacts);
    let unknown = tree.harness(&["enter", "tea", "--before", "the note is chanced"]);
    let stderr = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(2), "{stderr}");
    let wanted = "error: q35::tea has no step `the note is chanced`; hint: did you mean `the note is changed`?";
    assert!(stderr.starts_with(wanted), "{stderr}");

    let entered = [
        "enter",
        "tea",
        "--before",
        "the note is changed",
        "--background",
    ];
    let entered = tree.harness(&entered);
    let stderr = String::from_utf8_lossy(&entered.stderr);
    assert!(entered.status.success(), "{stderr}");
    let login = stderr
        .split("ready: before step 3: harness ssh, or ")
        .nth(1);
    let login = login.and_then(|rest| rest.split(';').next());
    let login = login.unwrap_or_else(|| panic!("the output has no login: {stderr}"));
    for (login, note) in [(login, "before"), ("harness ssh", "changed here")] {
        assert_eq!(tree.printed(login, "cat note"), format!("{note}\n"));
        assert_eq!(tree.printed(login, "echo changed here > note"), "");
    }

    let stopped = tree.harness(&["stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    let port = login
        .split("-p ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let port: u16 = port.unwrap().parse().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let evidence = tree.folder.path().join("target/evidence");
    let evidence: Vec<_> = evidence.read_dir().unwrap().collect();
    assert!(evidence.is_empty(), "{evidence:?}");
}

impl Tree {
    /// A tree that shares the checkpoints of this one.
    fn new(artifacts: &Artifacts) -> Self {
        let folder = tree::with(&["target/checkpoints"]);
        std::fs::write(folder.path().join("scenarios/tea.yaml"), SCENARIO).unwrap();
        let artifacts = artifacts.clone();
        Self { folder, artifacts }
    }

    fn harness(&self, arguments: &[&str]) -> Output {
        self.program(env!("CARGO_BIN_EXE_harness"))
            .args(arguments)
            .output()
            .unwrap()
    }

    fn program(&self, program: &str) -> Command {
        let file = |path: &Path| std::path::absolute(path).unwrap();
        let mut program = Command::new(program);
        program
            .current_dir(self.folder.path())
            .env(KERNEL_VARIABLE, file(&self.artifacts.kernel))
            .env(INITRD_VARIABLE, file(&self.artifacts.initrd))
            .stdin(Stdio::null());
        program
    }

    /// The output of a command in the machine, run through the printed login.
    fn printed(&self, login: &str, command: &str) -> String {
        // Accept the new host key without a prompt.
        let options =
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes";
        let login = match login.strip_prefix("harness ") {
            Some(own) => format!("{} {own} --", env!("CARGO_BIN_EXE_harness")),
            None => login.replacen("ssh ", &format!("ssh {options} "), 1),
        };
        let line = format!("{login} '{command}'");
        let output = self.program("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

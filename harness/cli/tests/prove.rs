//! A test of `harness prove`: a sabotage that is detected at the expected step passes; one that is detected
//! elsewhere or not at all fails with an explanation.

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Failed, Trial as Test};

use harness::artifacts::{self, INITRD_VARIABLE, KERNEL_VARIABLE};
use harness::project::{self, Project};

const SCENARIO: &str = "name: tea
about: Two files are there; three sabotages, of which the first is good.
steps:
  - name: the first is there
    ssh: { run: test -e /etc/issue }
  - name: the second is there
    ssh: { run: test -e /etc/shells }
sabotage:
  - run: mv /etc/shells /etc/gone
    red_at: the second is there
  - run: mv /etc/issue /etc/gone
    red_at: 2
  - run: 'true'
    red_at: 1
";

fn main() -> ExitCode {
    let project = project::find();
    let profiles = project.profiles().expect("the profiles are valid");
    let q35 = profiles.iter().find(|profile| profile.name == "q35");
    let unreachable = q35.expect("q35 is there").check_host().err();
    let test = Test::test(
        "prove_accepts_only_failures_at_the_expected_step",
        move || proven(&project),
    );
    let test = match unreachable {
        Some(why) => test.with_ignored_flag(true).with_kind(why.why),
        None => test,
    };
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit_code()
}

fn proven(project: &Project) -> Result<(), Failed> {
    let artifacts = artifacts::of_environment(project)?;
    let tree = tempfile::tempdir()?;
    make_tree(project, tree.path())?;
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["prove", "--jobs", "1"])
        .current_dir(tree.path())
        .env(KERNEL_VARIABLE, artifacts.kernel)
        .env(INITRD_VARIABLE, artifacts.initrd)
        .env_remove("HARNESS_KEEP")
        .output()?;
    says_all(&output)?;
    let kept = std::fs::read_dir(tree.path().join("target/evidence"))?.count();
    match kept {
        1 => Ok(()),
        more => Err(format!("expected the evidence of one trial, found {more}").into()),
    }
}

/// Creates a tree with the scenario that shares the profiles and checkpoints of this one.
fn make_tree(project: &Project, tree: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(tree.join("scenarios"))?;
    std::fs::write(tree.join("scenarios/tea.yaml"), SCENARIO)?;
    let link = |from: &Path, to: &str| {
        std::os::unix::fs::symlink(std::path::absolute(from)?, tree.join(to))
    };
    link(&project.profiles_folder(), "qemu-profiles")?;
    std::fs::create_dir_all(tree.join("target"))?;
    std::fs::create_dir_all(project.checkpoints_folder())?;
    link(&project.checkpoints_folder(), "target/checkpoints")
}

fn says_all(output: &Output) -> Result<(), Failed> {
    let text = String::from_utf8_lossy(&output.stdout);
    let wanted = [
        "q35::tea::sabotage-1 (fails at the second is there) ... ok",
        "the sabotage was detected elsewhere: as root: mv /etc/issue /etc/gone",
        "expected to fail at step 2: the second is there",
        "failed at step 1: the first is there",
        "the sabotage was not detected: as root: true",
        "1 passed; 2 failed",
    ];
    if let Some(missing) = wanted.iter().find(|part| !text.contains(*part)) {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{missing}` is missing in the output:\n{text}\n{errors}").into());
    }
    match output.status.code() {
        Some(1) => Ok(()),
        status => Err(format!("expected exit status 1, got {status:?}").into()),
    }
}

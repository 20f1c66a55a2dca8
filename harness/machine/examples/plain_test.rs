//! A machine from a plain test: boots an OS, saves it as a checkpoint, forks it twice, and breaks one fork.
//!
//! Run it with a kernel and an initrd that let in the keys of a cloud-config, or as a test:
//!
//! ```text
//! cargo run --example plain_test -- vmlinuz initrd
//! cargo test --example plain_test          # boots dist/artifacts of this tree
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::{Checkpoint, KeyPair, LogDir, Login, Machine, MachineBuilder, Ssh};

/// Enough for a boot on an emulated machine on a busy host.
const LIMIT: Duration = Duration::from_secs(300);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [kernel, initrd] = &files[..] else {
        return Err("usage: plain_test KERNEL INITRD".into());
    };
    one_fork_breaks_and_the_other_does_not(kernel, initrd).await
}

async fn one_fork_breaks_and_the_other_does_not(kernel: &Path, initrd: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    let logs = |name: &str| -> Result<LogDir> {
        let folder = work.path().join(name);
        std::fs::create_dir(&folder)?;
        Ok(LogDir::new(folder))
    };
    let keys = KeyPair::generate();
    let login = Login::with_key("rancher", &keys);
    let cloud_config = format!("#cloud-config\nssh_authorized_keys: ['{}']\n", keys.public);
    let spec = MachineBuilder::new(kernel, initrd)
        .memory_mib(1024)
        .user_data(cloud_config)
        .build()?;

    let saved = work.path().join("checkpoint");
    std::fs::create_dir(&saved)?;
    let parent = Machine::start_savable(spec.clone(), &saved, &logs("parent")?).await?;
    parent.wait_ready(LIMIT).await?;
    let ssh = parent.ssh(&login, LIMIT).await?;
    printed(&ssh, "echo before the fork > note").await?;
    drop(ssh);
    parent.settle(LIMIT).await;
    parent.save(&saved).await?;

    let checkpoint = Checkpoint::open(&saved)?;
    let sound = Machine::fork(spec.clone(), &checkpoint, &logs("sound")?).await?;
    let broken = Machine::fork(spec, &checkpoint, &logs("broken")?).await?;
    broken.set_link("net0", false).await?;

    // Each fork continues where the parent stood, on a port of its own.
    let ssh = sound.ssh(&login, LIMIT).await?;
    assert_eq!(printed(&ssh, "cat note").await?, "before the fork");
    let refused = broken.ssh(&login, Duration::from_secs(10)).await;
    assert!(refused.is_err(), "the link of this fork is down");

    broken.set_link("net0", true).await?;
    let ssh = broken.ssh(&login, LIMIT).await?;
    assert_eq!(printed(&ssh, "cat note").await?, "before the fork");

    // A panic ends a wait at once, whatever its deadline.
    let crash = ssh.run("sudo sh -c 'echo c > /proc/sysrq-trigger'", LIMIT);
    let error = crash.await.expect_err("the guest panicked");
    assert!(error.to_string().contains("panic"), "{error}");
    Ok(())
}

/// The output of a command that succeeds.
async fn printed(ssh: &Ssh, command: &str) -> Result<String> {
    let output = ssh.run(command, LIMIT).await?;
    if output.exit != Some(0) {
        return Err(format!("`{command}`: {output:?}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn forks_are_independent() {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/artifacts");
    let [kernel, initrd] = ["vmlinuz", "initrd"].map(|name| artifacts.join(name));
    assert!(
        kernel.is_file(),
        "there is no build of the OS; hint: `cargo harness build`"
    );
    let ended = one_fork_breaks_and_the_other_does_not(&kernel, &initrd).await;
    ended.unwrap_or_else(|error| panic!("{error}"));
}

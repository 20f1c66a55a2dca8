//! Installs third-party programs in the folder of the benchmarks.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::common::Result;

/// How many characters of a command's last output are shown.
const SHOWN: usize = 600;
/// The line of a kernel panic.
const PANIC: &str = "Kernel panic";

/// Runs a command that must succeed; the error includes its last output.
pub(super) async fn done(command: &mut Command) -> Result<()> {
    let name = command.as_std().get_program().to_owned();
    let name = name.display();
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await;
    let output = output.map_err(|error| format!("cannot start `{name}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let skipped = said.chars().count().saturating_sub(SHOWN);
    let tail: String = said.chars().skip(skipped).collect();
    // A kernel panic is more informative than the failed command.
    let panic = said.lines().find(|line| line.contains(PANIC));
    let cause = panic
        .map(|line| format!(": {}", line.trim()))
        .unwrap_or_default();
    let status = output.status;
    Err(format!("`{name}` failed ({status}){cause}\n{}", tail.trim()).into())
}

/// The program of a crate in a version, built if it is not cached.
pub(super) async fn from_crates(
    folder: &Path,
    name: &str,
    version: &str,
    environment: &[(&str, PathBuf)],
) -> Result<PathBuf> {
    let root = folder.join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if !program.exists() {
        eprintln!("building {name} {version} (once)");
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--locked", "--version", version, name]);
        cargo.arg("--root").arg(&root);
        done(cargo.envs(environment.iter().cloned())).await?;
    }
    Ok(program)
}

/// The folder with the programs of a Python package in a version, in its own virtual environment.
pub(super) async fn from_pypi(folder: &Path, name: &str, version: &str) -> Result<PathBuf> {
    let root = folder.join(format!("{name}-{version}"));
    let programs = root.join("bin");
    let whole = root.join("installed");
    if !whole.exists() {
        eprintln!("installing {name} {version} (once)");
        done(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&root),
        )
        .await?;
        let mut pip = Command::new(programs.join("pip"));
        pip.args(["install", "--quiet"]);
        done(pip.arg(format!("{name}=={version}"))).await?;
        std::fs::write(whole, "")?;
    }
    Ok(programs)
}

/// A root file system with packages of a Debian release.
pub(super) async fn debian_root(
    folder: &Path,
    name: &str,
    suite: &str,
    packages: &str,
) -> Result<PathBuf> {
    let root = folder.join(format!("{name}-{suite}"));
    if !root.exists() {
        eprintln!("building the root file system for {name} (once)");
        let fresh = tempfile::tempdir_in(folder)?;
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args(["--quiet", "--variant=minbase"]);
        mmdebstrap.arg(format!("--include={packages}"));
        done(mmdebstrap.arg(suite).arg(fresh.path())).await?;
        std::fs::rename(fresh.keep(), &root)?;
    }
    Ok(root)
}

//! The system that the OS is compared with: a Debian like after its installer, with systemd, OpenSSH and one
//! Docker engine, of the same release and with the same kernel package.
//!
//! mmdebstrap builds it. It is booted once to complete its first boot, and
//! cached in `target/bench` under the hash of its inputs.

use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use harness::artifacts::Artifacts;
use harness::project::Project;
use host::speed;
use machine::profile::Profile;
use machine::{Disk, KeyPair, Login, Machine, MachineSpec};
use runner::evidence::Evidence;

use crate::cold::{System, answer};
use crate::common::Result;

/// The packages in addition to those that Debian always installs.
const PACKAGES: &str = "ca-certificates,dbus,docker-cli,docker.io,initramfs-tools,libpam-systemd,linux-image-cloud-amd64,openssh-server,systemd-sysv";
/// The script with the steps of the installer after the packages.
const FINISH: &str = include_str!("debian.sh");
/// The files that the build creates.
const FILES: [&str; 4] = ["disk", "initrd", "release", "vmlinuz"];
/// The private key of root, created with the system.
const KEY: &str = "key";
/// The timeout of a power-off, on the reference host.
const OFF_SECONDS: u64 = 120;

/// Returns the Debian system, which is built if it is not cached.
pub(crate) async fn prepare(
    project: &Project,
    profile: &Profile,
    ours: &Artifacts,
) -> Result<System> {
    let manifest = std::fs::read(ours.kernel.with_file_name("manifest.json"))?;
    let manifest: images::Manifest = serde_json::from_slice(&manifest)?;
    let bench = project.root().join("target/bench");
    let folder = bench.join(format!("debian-{}", key(&manifest)));
    if !folder.is_dir() {
        println!("building the Debian to compare with (once; takes some minutes)");
        std::fs::create_dir_all(&bench)?;
        let fresh = tempfile::tempdir_in(&bench)?;
        make(fresh.path(), &manifest.suite)?;
        settle(project, &system(fresh.path(), profile)?).await?;
        std::fs::rename(fresh.keep(), &folder)?;
    }
    let release = std::fs::read_to_string(folder.join("release"))?;
    if release.trim() != manifest.kernel {
        let (theirs, ours) = (release.trim(), &manifest.kernel);
        println!("note: Debian has kernel {theirs}, ours is {ours}");
    }
    system(&folder, profile)
}

/// Increment this to build the Debian again.
fn key(manifest: &images::Manifest) -> String {
    let recipe = [PACKAGES, FINISH, &manifest.suite, &manifest.kernel].join("\n");
    let hash = Sha256::digest(recipe);
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn system(folder: &Path, profile: &Profile) -> Result<System> {
    let (kernel, initrd) = (folder.join("vmlinuz"), folder.join("initrd"));
    Ok(System {
        name: "Debian until its Docker engine answers",
        spec: MachineSpec {
            // The arguments that the installer sets.
            kernel_args: ["root=/dev/vda", "ro", "quiet"].map(String::from).into(),
            disks: vec![Disk::Base(folder.join("disk"))],
            ..MachineSpec::new(profile.resolve(&kernel)?, &kernel, Some(&initrd))
        },
        login: Login::Key {
            user: "root".into(),
            private_key: std::fs::read_to_string(folder.join(KEY))?,
        },
        question: "docker ps",
        account: "systemctl is-system-running --wait; systemd-analyze; \
                  systemd-analyze --no-pager critical-chain docker.service | tail -n +4; \
                  systemd-analyze --no-pager blame | head -n 20",
    })
}

fn make(folder: &Path, suite: &str) -> Result<()> {
    let keys = KeyPair::generate();
    std::fs::write(folder.join(KEY), &keys.private)?;
    let finish = FINISH.replace("PUBLIC_KEY", keys.public.trim());
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--format=null"])
        .arg(format!("--include={PACKAGES}"));
    command.arg(format!("--customize-hook={finish}"));
    for file in FILES {
        let to = folder.join(file);
        command.arg(format!(
            "--customize-hook=download /{file} {}",
            base::shell::quote(&to.to_string_lossy())
        ));
    }
    if nix::unistd::Uid::effective().is_root() {
        // The default temporary folder may be small and in memory. Without root, the default is required:
        // the mapped users may not be able to access this folder.
        command.env("TMPDIR", folder);
    }
    done(command.args([suite, "/dev/null"]))?;
    done(
        Command::new("fallocate")
            .arg("--dig-holes")
            .arg(folder.join("disk")),
    )
}

fn done(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status();
    match status.map_err(|error| format!("cannot start `{name}`: {error}"))? {
        status if status.success() => Ok(()),
        status => Err(format!("`{name}` failed ({status}); its output is above").into()),
    }
}

/// Runs the first boot, which creates host keys and the like, and powers off with the power button.
async fn settle(project: &Project, system: &System) -> Result<()> {
    let mut system = System {
        spec: system.spec.clone(),
        login: system.login.clone(),
        ..*system
    };
    system.spec.disks = system.spec.disks.into_iter().map(kept).collect();
    let evidence = Evidence::begin(&project.evidence_folder(), "bench-settle")?;
    let machine = Machine::start(system.spec.clone(), evidence.logs()).await?;
    machine.fail_fast(answer(&machine, &system)).await?;
    machine.power_off(speed::seconds(OFF_SECONDS)).await?;
    std::fs::remove_dir_all(evidence.folder())?;
    Ok(())
}

/// The disk, opened for writing.
fn kept(disk: Disk) -> Disk {
    match disk {
        Disk::Base(file) => Disk::Kept(file),
        other => other,
    }
}

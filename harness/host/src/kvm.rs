//! Detection of KVM by a boot.
//!
//! `/dev/kvm` can exist, accept its ioctls, and still fail to run a stock kernel up to its first line
//! (incomplete nested virtualization). Therefore the kernel in question is booted without an initrd, and
//! must reach the panic about a missing root file system. The result is cached for this boot of the
//! host, this kernel and this QEMU.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use nix::fcntl::FlockArg;
use nix::unistd::Uid;

use super::qemu::Qemu;
use super::speed;
use base::hash::Hash;
use base::lock;
use base::private_dir::make_own;
use base::process::Owned;

/// The limit of the boot; a kernel under a working KVM needs two seconds.
const LIMIT_SECONDS: u64 = 8;
/// A folder that all processes of a host share and that is emptied at its boot (FHS 3.0, 3.18), like the results.
const SHARED: &str = "/tmp";
/// Messages of a kernel that completed its boot and found nothing to start.
const PANIC_MESSAGES: [&str; 3] = [
    "Unable to mount root fs",
    "No working init found",
    "Cannot open root device",
];

/// Checks that `/dev/kvm` can be opened.
///
/// # Errors
/// Why it cannot.
pub fn device() -> Result<(), String> {
    let opened = File::options().read(true).write(true).open("/dev/kvm");
    opened.map(drop).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "this host has no /dev/kvm".into(),
        io::ErrorKind::PermissionDenied => {
            "no permission to open /dev/kvm; hint: add this user to the group kvm".into()
        }
        _ => format!("/dev/kvm: {error}"),
    })
}

/// Boots `kernel` under KVM, or returns the cached result.
///
/// # Errors
/// Why KVM does not work.
pub fn prove(qemu: &Qemu, kernel: &Path) -> Result<(), String> {
    device()?;
    let Some(cached) = cache_file(qemu, kernel) else {
        return try_boot(qemu, kernel);
    };
    // Of two processes one boots, and the other one reads its result.
    let _lock = lock::take(&cached.with_extension("lock"), FlockArg::LockExclusive);
    if let Ok(result) = std::fs::read_to_string(&cached) {
        return if result.is_empty() {
            Ok(())
        } else {
            Err(result)
        };
    }
    let result = try_boot(qemu, kernel);
    store(&cached, &result);
    result
}

/// Caches a result; without a cache the next process boots again.
fn store(file: &Path, result: &Result<(), String>) {
    let text = result
        .as_ref()
        .err()
        .map(String::as_str)
        .unwrap_or_default();
    let unfinished = file.with_extension("new");
    if std::fs::write(&unfinished, text).is_ok() {
        let _ = std::fs::rename(unfinished, file);
    }
}

/// The cache file in a private folder of this user, whose name is a hash of everything that the result depends on.
fn cache_file(qemu: &Qemu, kernel: &Path) -> Option<PathBuf> {
    let folder = Path::new(SHARED).join(format!("harness-{}-kvm", Uid::current()));
    make_own(&folder).ok()?;
    let boot = super::boot_id().ok()?;
    let key = Hash::default().file(kernel).ok()?.text(&boot);
    Some(folder.join(key.text(&qemu.version).finish()))
}

fn try_boot(qemu: &Qemu, kernel: &Path) -> Result<(), String> {
    let failed = |e: io::Error| format!("cannot test KVM: {e}");
    let (console, end) = UnixStream::pair().map_err(failed)?;
    let mut stderr = tempfile::tempfile().map_err(failed)?;
    let theirs = stderr.try_clone().map_err(failed)?;
    let command = command(qemu, kernel, end, theirs).map_err(failed)?;
    let _qemu = Owned::spawn(command).map_err(failed)?;
    listen(console, speed::seconds(LIMIT_SECONDS)).map_err(|reason| {
        let mut output = String::new();
        let read = stderr
            .rewind()
            .and_then(|()| stderr.read_to_string(&mut output));
        match output.lines().next() {
            Some(line) if read.is_ok() => format!("{reason} ({line})"),
            _ => reason,
        }
    })
}

fn command(qemu: &Qemu, kernel: &Path, console: UnixStream, stderr: File) -> io::Result<Command> {
    let mut command = Command::new(&qemu.path);
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-machine",
            "q35",
            "-accel",
            "kvm",
            "-cpu",
            "host",
        ])
        .args(["-m", "256M", "-display", "none", "-no-reboot"])
        .args([
            "-chardev",
            "socket,id=serial,fd=3",
            "-serial",
            "chardev:serial",
        ])
        .args(["-append", "console=ttyS0 panic=-1", "-kernel"])
        .arg(kernel)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    let line = FdMapping {
        parent_fd: OwnedFd::from(console),
        child_fd: 3,
    };
    command.fd_mappings(vec![line]).map_err(io::Error::other)?;
    Ok(command)
}

/// Reads the console until a panic message, the exit of QEMU, or the limit.
fn listen(mut console: UnixStream, limit: Duration) -> Result<(), String> {
    let end = Instant::now() + limit;
    let mut output = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let seen = last_line(&output);
            return Err(format!(
                "/dev/kvm exists, but a kernel only reached {seen} within {} s",
                limit.as_secs()
            ));
        }
        console
            .set_read_timeout(Some(left))
            .map_err(|e| e.to_string())?;
        match console.read(&mut buffer) {
            Ok(0) => {
                return Err(format!(
                    "QEMU exited under KVM; the kernel reached {}",
                    last_line(&output)
                ));
            }
            Ok(n) => output.extend_from_slice(&buffer[..n]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(format!("QEMU exited under KVM: {error}")),
        }
        let text = String::from_utf8_lossy(&output);
        if PANIC_MESSAGES.iter().any(|message| text.contains(message)) {
            return Ok(());
        }
    }
}

fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("`{}`", line.trim()),
        None => "no line".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn kvm_works_only_when_the_kernel_reaches_the_panic() {
        let (console, mut kernel) = UnixStream::pair().unwrap();
        kernel
            .write_all(b"Linux version 6.12\r\nVFS: Unable to mo")
            .unwrap();
        kernel
            .write_all(b"unt root fs on unknown-block(0,0)\r\n")
            .unwrap();
        listen(console, Duration::from_secs(60)).unwrap();

        let (console, mut kernel) = UnixStream::pair().unwrap();
        kernel.write_all(b"Linux version 6.12\r\n").unwrap();
        drop(kernel);
        let error = listen(console, Duration::from_secs(60)).unwrap_err();
        assert!(error.contains("`Linux version 6.12`"), "{error}");

        let (console, _kernel) = UnixStream::pair().unwrap();
        let error = listen(console, Duration::from_millis(20)).unwrap_err();
        assert!(error.contains("no line"), "{error}");
    }
}

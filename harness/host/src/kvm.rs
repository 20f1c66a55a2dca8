//! KVM, proven by a boot.
//!
//! `/dev/kvm` can exist, accept its ioctls, and still never get a stock kernel to its first line
//! (nested virtualization that is half there). So the kernel in question is booted, without an
//! initrd, and must come to its own last words: that it has no root to mount. The verdict holds
//! for this boot of the host, this kernel and this QEMU.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use nix::fcntl::FlockArg;

use super::qemu::Qemu;
use super::speed;
use base::hash::Hash;
use base::lock;
use base::process::Owned;

/// A kernel under KVM is there in two; more than this is of no use.
const LIMIT_SECONDS: u64 = 8;
/// What a kernel says that got through its whole boot and then has nothing to start.
const LAST_WORDS: [&str; 3] = [
    "Unable to mount root fs",
    "No working init found",
    "Cannot open root device",
];

/// Whether there is a device to try.
///
/// # Errors
/// Why not.
pub fn device() -> Result<(), String> {
    let opened = File::options().read(true).write(true).open("/dev/kvm");
    opened.map(drop).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "this host has no /dev/kvm".into(),
        io::ErrorKind::PermissionDenied => {
            "/dev/kvm is not for this user (add yourself to the group kvm)".into()
        }
        _ => format!("/dev/kvm: {error}"),
    })
}

/// Proves it with `kernel`, or takes the verdict that is kept.
///
/// # Errors
/// Why KVM is of no use here.
pub fn prove(qemu: &Qemu, kernel: &Path) -> Result<(), String> {
    device()?;
    let Some(kept) = verdict_file(qemu, kernel) else {
        return try_boot(qemu, kernel);
    };
    // Two at once: one boots, the other reads what came of it.
    let _one = lock::take(&kept.with_extension("lock"), FlockArg::LockExclusive);
    if let Ok(verdict) = std::fs::read_to_string(&kept) {
        return if verdict.is_empty() {
            Ok(())
        } else {
            Err(verdict)
        };
    }
    let verdict = try_boot(qemu, kernel);
    keep(&kept, &verdict);
    verdict
}

/// A verdict that cannot be kept is found again next time.
fn keep(file: &Path, verdict: &Result<(), String>) {
    let text = verdict
        .as_ref()
        .err()
        .map(String::as_str)
        .unwrap_or_default();
    let unfinished = file.with_extension("new");
    if std::fs::write(&unfinished, text).is_ok() {
        let _ = std::fs::rename(unfinished, file);
    }
}

/// In the user's cache, named by all that the verdict depends on.
fn verdict_file(qemu: &Qemu, kernel: &Path) -> Option<PathBuf> {
    let folder = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    }
    .join("harness/kvm");
    std::fs::create_dir_all(&folder).ok()?;
    let boot = super::boot_id().ok()?;
    let key = Hash::default().file(kernel).ok()?.text(&boot);
    Some(folder.join(key.text(&qemu.version).finish()))
}

fn try_boot(qemu: &Qemu, kernel: &Path) -> Result<(), String> {
    let failed = |e: io::Error| format!("KVM cannot be tried: {e}");
    let (console, end) = UnixStream::pair().map_err(failed)?;
    let mut stderr = tempfile::tempfile().map_err(failed)?;
    let theirs = stderr.try_clone().map_err(failed)?;
    let command = command(qemu, kernel, end, theirs).map_err(failed)?;
    let _qemu = Owned::spawn(command).map_err(failed)?;
    listen(console, speed::seconds(LIMIT_SECONDS)).map_err(|why| {
        let mut said = String::new();
        let read = stderr
            .rewind()
            .and_then(|()| stderr.read_to_string(&mut said));
        match said.lines().next() {
            Some(line) if read.is_ok() => format!("{why} ({line})"),
            _ => why,
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

/// Until the last words, the end of QEMU, or the limit.
fn listen(mut console: UnixStream, limit: Duration) -> Result<(), String> {
    let end = Instant::now() + limit;
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let seen = last_line(&said);
            return Err(format!(
                "/dev/kvm is there, but a kernel got only to {seen} in {} s",
                limit.as_secs()
            ));
        }
        console
            .set_read_timeout(Some(left))
            .map_err(|e| e.to_string())?;
        match console.read(&mut buffer) {
            Ok(0) => {
                return Err(format!(
                    "QEMU ended under KVM; the kernel got to {}",
                    last_line(&said)
                ));
            }
            Ok(n) => said.extend_from_slice(&buffer[..n]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(format!("QEMU ended under KVM: {error}")),
        }
        let text = String::from_utf8_lossy(&said);
        if LAST_WORDS.iter().any(|words| text.contains(words)) {
            return Ok(());
        }
    }
}

fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("`{}`", line.trim()),
        None => "no line at all".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn only_the_last_words_are_a_proof() {
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
        assert!(error.contains("no line at all"), "{error}");
    }
}

//! Writes the page cache to network file systems, and gives up servers that do not answer: a sync(2) would
//! wait for them, and the shutdown would time out before the disks are written.

use std::fs::File;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};

/// The timeout for all servers together.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The time for the kernel to fail the requests to servers that were given up.
const GIVE_UP_DELAY: Duration = Duration::from_secs(1);

const KINDS: [&str; 4] = ["nfs", "nfs4", "cifs", "smb3"];

/// The kernel has a folder here for each connection to a server (`fs/nfs/sysfs.c`); a `1` in its file
/// `shutdown` makes all current and later requests fail.
const NFS: &str = "/sys/fs/nfs";

/// Writes all network file systems.
///
/// # Errors
/// Some servers did not answer in time; the error names them.
pub(crate) fn write_all() -> Result<(), String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = remote(&mounts);
    let left = write(&mounts);
    if left.is_empty() {
        return Ok(());
    }
    give_up(&left);
    let devices: Vec<_> = left.iter().map(|mount| mount.device.as_str()).collect();
    Err(format!(
        "timed out after {} s writing to {}",
        TIMEOUT.as_secs(),
        devices.join(", ")
    ))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Remote {
    /// The device number, which identifies the file system; its name does not, because all of Docker's
    /// NFS volumes are named `:/export`.
    number: String,
    folder: String,
    device: String,
}

/// The network file systems in proc_pid_mountinfo(5), each once.
fn remote(mounts: &str) -> Vec<Remote> {
    let mut found: Vec<Remote> = Vec::new();
    for line in mounts.lines() {
        let Some((at, file_system)) = line.split_once(" - ") else {
            continue;
        };
        let mut fields = file_system.split_whitespace();
        let mut at = at.split(' ');
        let (Some(number), Some(folder), Some(kind), Some(device)) =
            (at.nth(2), at.nth(1), fields.next(), fields.next())
        else {
            continue;
        };
        if KINDS.contains(&kind) && found.iter().all(|other| other.number != number) {
            found.push(Remote {
                number: number.into(),
                folder: unescape(folder),
                device: device.into(),
            });
        }
    }
    found
}

/// Undoes the escapes that the kernel writes in a path (`mangle` in `fs/proc_namespace.c`).
fn unescape(path: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    escapes
        .into_iter()
        .fold(path.to_owned(), |path, (escape, text)| {
            path.replace(escape, text)
        })
}

/// Writes all of them at the same time; returns those that did not finish in time.
fn write(mounts: &[Remote]) -> Vec<Remote> {
    let (done, ended) = channel();
    for mount in mounts.iter().cloned() {
        let done = done.clone();
        std::thread::spawn(move || {
            // An error is final: the kernel has retried by itself.
            let _ = File::open(&mount.folder).map(nix::unistd::syncfs);
            let _ = done.send(mount);
        });
    }
    let mut left = mounts.to_vec();
    let deadline = Instant::now() + TIMEOUT;
    while !left.is_empty() {
        let Ok(written) = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        else {
            break;
        };
        left.retain(|mount| *mount != written);
    }
    left
}

fn give_up(mounts: &[Remote]) {
    for connection in std::fs::read_dir(NFS).into_iter().flatten().flatten() {
        // It fails for `net`, which is not a connection.
        let _ = std::fs::write(connection.path().join("shutdown"), "1");
    }
    // For CIFS. A forced unmount may write to the server and block, so it is not waited for.
    for folder in mounts.iter().map(|mount| mount.folder.clone()) {
        std::thread::spawn(move || umount2(folder.as_str(), MntFlags::MNT_FORCE));
    }
    std::thread::sleep(GIVE_UP_DELAY);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_lists_each_file_system_once() {
        let mounts = "30 1 254:0 / /var rw shared:3 - ext4 /dev/vda rw\n\
            40 1 0:50 / /tree/mnt/nas rw shared:9 - nfs4 nas:/export rw,addr=10.0.0.9\n\
            41 1 0:50 / /mnt/nas rw shared:9 - nfs4 nas:/export rw,addr=10.0.0.9\n\
            42 1 0:51 / /mnt/my\\040share rw - cifs //nas/share rw\n\
            43 1 0:52 / /var/lib/docker/volumes/a/_data rw - nfs4 :/export rw,addr=10.0.0.9\n\
            44 1 0:53 / /var/lib/docker/volumes/b/_data rw - nfs4 :/export rw,addr=10.0.0.8\n";
        let found = remote(mounts);
        let places: Vec<_> = found.iter().map(|mount| mount.folder.as_str()).collect();
        let volume = |name| format!("/var/lib/docker/volumes/{name}/_data");
        assert_eq!(places[..2], ["/tree/mnt/nas", "/mnt/my share"]);
        assert_eq!(places[2..], [volume("a"), volume("b")]);
    }
}

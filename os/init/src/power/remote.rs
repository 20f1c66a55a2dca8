//! Writes what is in memory to file systems of the network, and gives up servers that do not answer: a
//! `sync` for all would wait for these until the machine is cut off, with its disks not written.

use std::fs::File;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};

/// How long all servers together have to take what is written.
const LIMIT: Duration = Duration::from_secs(4);

/// How long the kernel may take to end what waits for a server that was given up.
const GIVEN_UP: Duration = Duration::from_secs(1);

const KINDS: [&str; 4] = ["nfs", "nfs4", "cifs", "smb3"];

/// Where the kernel has a folder for each connection to a server (`fs/nfs/sysfs.c`); a `1` in its file
/// `shutdown` has all requests fail, those that are to come, too.
const NFS: &str = "/sys/fs/nfs";

/// Returns when all is written, or the names of what could not be written in time.
pub fn write_all() -> Result<(), String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = remote(&mounts);
    let left = write(&mounts);
    if left.is_empty() {
        return Ok(());
    }
    give_up(&left);
    let devices: Vec<_> = left.iter().map(|mount| mount.device.as_str()).collect();
    Err(format!(
        "not all is written to {}: no answer within {} s",
        devices.join(", "),
        LIMIT.as_secs()
    ))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Remote {
    /// Of the file system, which the name that is mounted is not: Docker's volumes call it `:/export`.
    number: String,
    place: String,
    device: String,
}

/// Those of proc_pid_mountinfo(5), each once.
fn remote(mounts: &str) -> Vec<Remote> {
    let mut found: Vec<Remote> = Vec::new();
    for line in mounts.lines() {
        let Some((at, file_system)) = line.split_once(" - ") else {
            continue;
        };
        let mut fields = file_system.split_whitespace();
        let mut at = at.split(' ');
        let (Some(number), Some(place), Some(kind), Some(device)) =
            (at.nth(2), at.nth(1), fields.next(), fields.next())
        else {
            continue;
        };
        if KINDS.contains(&kind) && found.iter().all(|other| other.number != number) {
            found.push(Remote {
                number: number.into(),
                place: unescaped(place),
                device: device.into(),
            });
        }
    }
    found
}

/// A path as it is, which the kernel escapes (`mangle` in `fs/proc_namespace.c`).
fn unescaped(path: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let put = |path: String, (escape, is): (&str, &str)| path.replace(escape, is);
    escapes.into_iter().fold(path.to_owned(), put)
}

/// Writes to all at once; returns those that have not taken it in time.
fn write(mounts: &[Remote]) -> Vec<Remote> {
    let (done, ended) = channel();
    for mount in mounts.iter().cloned() {
        let done = done.clone();
        std::thread::spawn(move || {
            // One that fails has failed for good: the kernel has tried again by itself.
            let _ = File::open(&mount.place).map(nix::unistd::syncfs);
            let _ = done.send(mount);
        });
    }
    let mut left = mounts.to_vec();
    let deadline = Instant::now() + LIMIT;
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
        // `net` beside them has no such file.
        let _ = std::fs::write(connection.path().join("shutdown"), "1");
    }
    // For CIFS. It may end in a write to the server, which nobody waits for.
    for place in mounts.iter().map(|mount| mount.place.clone()) {
        std::thread::spawn(move || umount2(place.as_str(), MntFlags::MNT_FORCE));
    }
    std::thread::sleep(GIVEN_UP);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_finds_each_share_once() {
        let mounts = "30 1 254:0 / /var rw shared:3 - ext4 /dev/vda rw\n\
            40 1 0:50 / /tree/mnt/nas rw shared:9 - nfs4 nas:/export rw,addr=10.0.0.9\n\
            41 1 0:50 / /mnt/nas rw shared:9 - nfs4 nas:/export rw,addr=10.0.0.9\n\
            42 1 0:51 / /mnt/my\\040share rw - cifs //nas/share rw\n\
            43 1 0:52 / /var/lib/docker/volumes/a/_data rw - nfs4 :/export rw,addr=10.0.0.9\n\
            44 1 0:53 / /var/lib/docker/volumes/b/_data rw - nfs4 :/export rw,addr=10.0.0.8\n";
        let found = remote(mounts);
        let places: Vec<_> = found.iter().map(|mount| mount.place.as_str()).collect();
        let volume = |name| format!("/var/lib/docker/volumes/{name}/_data");
        assert_eq!(places[..2], ["/tree/mnt/nas", "/mnt/my share"]);
        assert_eq!(places[2..], [volume("a"), volume("b")]);
    }
}

//! File systems of the network: NFS and CIFS, without the programs that usually mount them. The kernel
//! wants the address of the server beside its name (nfs(5), `addr=`; `fs/smb/client/fs_context.c`, `ip=`).

use std::io::{Error, Result};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use config::Mount;
use nix::errno::Errno;
use nix::mount::MsFlags;

use super::{REMOTE_LIMIT, options};
use crate::report::Report;
use crate::tree::{TREE, engine, place};

/// It exists while something is not mounted that the engine waits for.
const WAITING: &str = "/run/tree/mounts";

/// How long until a server that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(3);

/// The longest until one that refused is asked again: a server may lock an account out after a few wrong
/// passwords, and the kernel reports each refusal on the console.
const LONGEST: Duration = Duration::from_secs(60);

/// Versions of NFS that are tried where none is named, the latest first; nobody here answers callbacks
/// of version 3's lock protocol.
const VERSIONS: [&str; 4] = ["vers=4.2", "vers=4.1", "vers=4.0", "vers=3,nolock"];

/// Waits for those that the engine needs.
///
/// # Errors
/// They are not mounted in time.
pub fn wait() -> Result<()> {
    if engine::wait_until(REMOTE_LIMIT, || !Path::new(WAITING).exists())? {
        return Ok(());
    }
    let seconds = REMOTE_LIMIT.as_secs();
    Err(Error::other(format!(
        "a file system of the network was not mounted within {seconds} s; it runs without"
    )))
}

/// Mounts each of them in the background until it is mounted. A server that does not answer holds up no
/// other's, as the kernel may wait minutes for it.
pub fn mount_all(mounts: Vec<Mount>) {
    let mut report = Report::new();
    if mounts.iter().any(|mount| !mount.has("nofail"))
        && let Err(error) =
            std::fs::create_dir_all("/run/tree").and_then(|()| std::fs::write(WAITING, ""))
    {
        report.say(&format!("rancher: mounts: {WAITING}: {error}"));
    }
    let left = Arc::new(Mutex::new(mounts.clone()));
    for mount in mounts {
        let left = Arc::clone(&left);
        std::thread::spawn(move || {
            keep_trying(&mount, &left);
            done(&mount, &left);
        });
    }
}

/// Returns when it is mounted. Each reason why it is not is reported when it is another than before.
fn keep_trying(mount: &Mount, left: &Mutex<Vec<Mount>>) {
    let mut report = Report::new();
    let (device, folder) = (&mount.device, &mount.folder);
    let mut reported = String::new();
    let mut pause = AGAIN;
    loop {
        let outer = left_of(left)
            .iter()
            .find(|other| is_below(mount, other))
            .cloned();
        if let Some(outer) = outer {
            let why = format!("it waits for {}", outer.folder);
            if why != reported {
                report.say(&format!("rancher: mounts: {device} on {folder}: {why}"));
                reported = why;
            }
            std::thread::sleep(AGAIN);
            continue;
        }
        let Err(error) = mount_one(mount) else {
            return report.say(&format!("rancher: mounted {device} on {folder}"));
        };
        let why = why(mount, &error);
        if why != reported {
            report.say(&format!(
                "rancher: mounts: {device} on {folder}: {why}; it is tried again"
            ));
            reported = why;
        }
        pause = if is_refusal(&error) {
            (pause * 2).min(LONGEST)
        } else {
            AGAIN
        };
        std::thread::sleep(pause);
    }
}

fn done(mount: &Mount, left: &Mutex<Vec<Mount>>) {
    let mut left = left_of(left);
    left.retain(|other| other != mount);
    if left.iter().all(|mount| mount.has("nofail")) {
        let _ = std::fs::remove_file(WAITING);
    }
}

fn left_of(left: &Mutex<Vec<Mount>>) -> MutexGuard<'_, Vec<Mount>> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a mount would be hidden by another that comes after it.
fn is_below(mount: &Mount, other: &Mount) -> bool {
    let (folder, other) = (Path::new(&mount.folder), Path::new(&other.folder));
    folder != other && folder.starts_with(other)
}

fn mount_one(mount: &Mount) -> Result<()> {
    let here = |error: Error| Error::other(format!("{}: {error}", mount.folder));
    let place = place(&mount.folder, Path::new(TREE)).map_err(here)?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    if super::is_mounted(&mounts, &place.to_string_lossy(), &mount.device) {
        return Ok(());
    }
    let host = host(&mount.device).ok_or_else(|| Error::other("it names no host"))?;
    let address = (host, 0).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| Error::other(format!("{host} has no address")))?;
    let mut errors = Vec::new();
    for data in data(mount, address.ip())? {
        let device = Some(mount.device.as_str());
        let kind = Some(mount.kind.as_str());
        match nix::mount::mount(device, &place, kind, flags(mount), Some(data.as_str())) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(error),
        }
    }
    Err(telling(&errors).map_or_else(|| Error::other("there is no way to mount it"), Into::into))
}

/// The error that says most of those of several versions of NFS: the first that is not about the version.
fn telling(errors: &[Errno]) -> Option<Errno> {
    let of_version = |error: &&Errno| matches!(error, Errno::EPROTONOSUPPORT | Errno::EINVAL);
    let other = errors.iter().find(|error| !of_version(error));
    other.or(errors.first()).copied()
}

/// Whether the server answered, and the answer was no.
fn is_refusal(error: &Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(Errno::EACCES | Errno::EPERM | Errno::ENOENT | Errno::EINVAL | Errno::EPROTONOSUPPORT)
    )
}

/// An error of the kernel in the words of who wrote the configuration.
fn why(mount: &Mount, error: &Error) -> String {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else {
        return error.to_string();
    };
    let of_nfs = mount.kind.starts_with("nfs");
    let host = host(&mount.device).unwrap_or_default();
    let why = match errno {
        Errno::EACCES | Errno::EPERM if of_nfs => "the server does not let this machine in",
        Errno::EACCES | Errno::EPERM => "wrong user or password, or no right to the share",
        Errno::ENOENT if of_nfs => "the server has no such export",
        Errno::ENOENT => "the server has no such share, or no such folder in it",
        Errno::EINVAL => "an option is wrong; hint: `dmesg` names it",
        Errno::EPROTONOSUPPORT | Errno::EOPNOTSUPP => "the server does not have this version",
        Errno::ECONNREFUSED | Errno::EHOSTDOWN | Errno::EHOSTUNREACH | Errno::ETIMEDOUT => {
            return format!("no server answers at {host} ({})", errno.desc());
        }
        _ => return error.to_string(),
    };
    format!("{why} ({})", errno.desc())
}

/// The server in `HOST:/PATH` and `//HOST/SHARE`.
fn host(device: &str) -> Option<&str> {
    let host = match device.strip_prefix("//") {
        Some(rest) => rest.split('/').next()?,
        None => device.split_once(":/")?.0,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(host).filter(|host| !host.is_empty())
}

fn flags(mount: &Mount) -> MsFlags {
    let known = [
        ("ro", MsFlags::MS_RDONLY),
        ("noatime", MsFlags::MS_NOATIME),
        ("nodev", MsFlags::MS_NODEV),
        ("noexec", MsFlags::MS_NOEXEC),
        ("nosuid", MsFlags::MS_NOSUID),
    ];
    let asked = known.into_iter().filter(|(name, _)| mount.has(name));
    asked.map(|(_, flag)| flag).collect()
}

/// What the kernel is told, in the order in which it is tried.
fn data(mount: &Mount, address: IpAddr) -> Result<Vec<String>> {
    let of_flags = ["ro", "rw", "noatime", "nodev", "noexec", "nosuid"];
    let own = options(mount);
    let own = own.split(',').filter(|one| !of_flags.contains(one));
    let own: Vec<_> = own.map(str::to_owned).collect();
    if mount.kind.starts_with("nfs") {
        let mut all = own.clone();
        all.push(format!("addr={address}"));
        let names_version = |one: &String| one.starts_with("vers=") || one.starts_with("nfsvers=");
        let versions: &[&str] = match mount.kind.as_str() {
            _ if own.iter().any(names_version) => &[""],
            "nfs4" => &VERSIONS[..3],
            _ => &VERSIONS,
        };
        let with = |version: &&str| {
            let all = all.iter().map(String::as_str);
            let all: Vec<_> = all
                .chain([*version])
                .filter(|one| !one.is_empty())
                .collect();
            all.join(",")
        };
        return Ok(versions.iter().map(with).collect());
    }
    let mut all = vec![format!("ip={address}")];
    for option in own {
        match option
            .strip_prefix("credentials=")
            .or(option.strip_prefix("cred="))
        {
            Some(file) => all.extend(credentials(file)?),
            None => all.push(option),
        }
    }
    Ok(vec![all.join(",")])
}

/// A file of mount.cifs(8): lines `username=`, `password=` and `domain=`.
fn credentials(file: &str) -> Result<Vec<String>> {
    let place = place(file, Path::new(TREE))?;
    let told = |error: Error| Error::other(format!("{file}: {error}"));
    let text = std::fs::read_to_string(place).map_err(told)?;
    Ok(credentials_of(&text))
}

fn credentials_of(text: &str) -> Vec<String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let known = ["username", "user", "password", "pass", "domain", "dom"];
    let pairs = pairs.filter(|(key, _)| known.contains(&key.trim()));
    // A comma in a value is doubled (mount.cifs(8), `password=`).
    let option =
        |(key, value): (&str, &str)| format!("{}={}", key.trim(), value.replace(',', ",,"));
    pairs.map(option).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mount: Mount = text.parse().unwrap();
        data(&mount, "10.0.0.9".parse().unwrap()).unwrap()
    }

    #[test]
    fn each_version_of_nfs_is_tried_unless_one_is_named() {
        let tried = all("nas:/export /mnt/nas nfs ro,soft");
        assert_eq!(tried.len(), 4);
        assert_eq!(tried[0], "soft,addr=10.0.0.9,vers=4.2");
        assert_eq!(tried[3], "soft,addr=10.0.0.9,vers=3,nolock");
        let named = all("nas:/export /mnt/nas nfs vers=4.1");
        assert_eq!(named, ["vers=4.1,addr=10.0.0.9"]);
    }

    #[test]
    fn the_error_of_the_version_that_the_server_has_is_reported() {
        let (no_version, refused) = (Errno::EPROTONOSUPPORT, Errno::ECONNREFUSED);
        // Of a server of version 4 alone, then of version 3 alone.
        let errors = [Errno::ENOENT, Errno::ENOENT, refused];
        assert_eq!(telling(&errors), Some(Errno::ENOENT));
        let errors = [no_version, no_version, Errno::EACCES];
        assert_eq!(telling(&errors), Some(Errno::EACCES));
        assert_eq!(telling(&[Errno::EINVAL, no_version]), Some(Errno::EINVAL));
    }

    #[test]
    fn errors_of_the_kernel_are_put_in_words() {
        let of = |mount: &str, errno: Errno| why(&mount.parse().unwrap(), &errno.into());
        let share = "//nas/share /mnt cifs";
        assert_eq!(
            of(share, Errno::EACCES),
            "wrong user or password, or no right to the share (Permission denied)"
        );
        assert_eq!(
            of("nas:/export /mnt", Errno::ENOENT),
            "the server has no such export (No such file or directory)"
        );
        assert_eq!(
            of(share, Errno::EHOSTDOWN),
            "no server answers at nas (Host is down)"
        );
        assert!(is_refusal(&Errno::EACCES.into()) && !is_refusal(&Errno::EHOSTDOWN.into()));
    }

    #[test]
    fn a_mount_waits_for_the_one_that_would_hide_it() {
        let mount = |text: &str| text.parse::<Mount>().unwrap();
        let (outer, inner) = (mount("nas:/a /mnt/a"), mount("nas:/b /mnt/a/b/"));
        assert!(is_below(&inner, &outer));
        assert!(!is_below(&outer, &inner) && !is_below(&outer, &outer));
        assert!(!is_below(&mount("nas:/c /mnt/ab"), &outer));
    }

    #[test]
    fn servers_and_credentials_are_told_to_the_kernel() {
        assert_eq!(host("nas.lan:/export"), Some("nas.lan"));
        assert_eq!(host("//nas/share"), Some("nas"));
        assert_eq!(host("[fd00::9]:/"), Some("fd00::9"));
        assert_eq!(host("/dev/vdb"), None);
        assert_eq!(
            all("//nas/share /mnt cifs guest,vers=3.0"),
            ["ip=10.0.0.9,guest,vers=3.0"]
        );
        assert_eq!(
            credentials_of("username=me\n# none\npassword = a,b\n"),
            ["username=me", "password= a,,b"]
        );
    }
}

//! Mounting NFS and CIFS without their mount programs. The kernel needs the address of the server in
//! addition to its name (nfs(5), `addr=`; `fs/smb/client/fs_context.c`, `ip=`).

use std::io::{Error, Result};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use config::Mount;
use nix::errno::Errno;
use nix::mount::MsFlags;

use sys::report::Report;
use tree::{SIGNS, TREE, resolve, wait_until};

use crate::options::{is_mounted, options};

/// The timeout for the engine's wait.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(60);

/// This file exists while the engine has to wait for a mount.
const PENDING: &str = "/run/tree/mounts";

/// The delay before a retry when the server did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(3);

/// The longest delay before a retry when the server refused: a server may lock an account after a few
/// wrong passwords, and the kernel reports each refusal on the console.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The versions of NFS that are tried if the options name none, the latest first. `nolock`, because no
/// process of the machine answers callbacks of version 3's lock protocol.
const VERSIONS: [&str; 4] = ["vers=4.2", "vers=4.1", "vers=4.0", "vers=3,nolock"];

/// Waits for the mounts that the engine needs.
///
/// # Errors
/// They are not mounted before the timeout.
pub fn wait() -> Result<()> {
    if wait_until(ENGINE_TIMEOUT, || !Path::new(PENDING).exists())? {
        return Ok(());
    }
    let seconds = ENGINE_TIMEOUT.as_secs();
    Err(Error::other(format!(
        "timed out after {seconds} s waiting for network file systems; the engine starts without them"
    )))
}

/// Mounts each of them in its own thread and retries until it is mounted: the kernel may wait minutes for
/// a server that does not answer, which must not delay the others.
pub(crate) fn mount_all(mounts: Vec<Mount>) {
    let mut report = Report::new();
    if mounts.iter().any(|mount| !mount.has("nofail"))
        && let Err(error) =
            std::fs::create_dir_all(SIGNS).and_then(|()| std::fs::write(PENDING, ""))
    {
        report.print(&format!("rancher: mounts: {PENDING}: {error}"));
    }
    let pending = Arc::new(Mutex::new(mounts.clone()));
    for mount in mounts {
        let pending = Arc::clone(&pending);
        std::thread::spawn(move || {
            retry(&mount, &pending);
            finish(&mount, &pending);
        });
    }
}

/// Retries until it is mounted. Reports an error when it differs from the last one.
fn retry(mount: &Mount, pending: &Mutex<Vec<Mount>>) {
    let mut report = Report::new();
    let (device, folder) = (&mount.device, &mount.folder);
    let mut reported = String::new();
    let mut delay = RETRY_DELAY;
    loop {
        let outer = lock(pending)
            .iter()
            .find(|other| is_below(mount, other))
            .cloned();
        if let Some(outer) = outer {
            let why = format!("waiting for {}", outer.folder);
            if why != reported {
                report.print(&format!("rancher: mounts: {device} on {folder}: {why}"));
                reported = why;
            }
            std::thread::sleep(RETRY_DELAY);
            continue;
        }
        let Err(error) = mount_one(mount) else {
            return report.print(&format!("rancher: mounted {device} on {folder}"));
        };
        let why = explain(mount, &error);
        if why != reported {
            report.print(&format!(
                "rancher: mounts: {device} on {folder}: {why}; retrying"
            ));
            reported = why;
        }
        delay = if is_refusal(&error) {
            (delay * 2).min(MAX_DELAY)
        } else {
            RETRY_DELAY
        };
        std::thread::sleep(delay);
    }
}

/// Removes a mount from the pending ones; the engine need not wait for it any more.
fn finish(mount: &Mount, pending: &Mutex<Vec<Mount>>) {
    let mut pending = lock(pending);
    pending.retain(|other| other != mount);
    if pending.iter().all(|mount| mount.has("nofail")) {
        let _ = std::fs::remove_file(PENDING);
    }
}

fn lock(pending: &Mutex<Vec<Mount>>) -> MutexGuard<'_, Vec<Mount>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a mount is below the other one, which would hide it if it were mounted later.
fn is_below(mount: &Mount, other: &Mount) -> bool {
    let (folder, other) = (Path::new(&mount.folder), Path::new(&other.folder));
    folder != other && folder.starts_with(other)
}

fn mount_one(mount: &Mount) -> Result<()> {
    let at_folder = |error: Error| Error::other(format!("{}: {error}", mount.folder));
    let target = resolve(&mount.folder, Path::new(TREE)).map_err(at_folder)?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    if is_mounted(&mounts, &target.to_string_lossy(), &mount.device) {
        return Ok(());
    }
    let host = host(&mount.device).ok_or_else(|| Error::other("the device names no host"))?;
    let address = (host, 0).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| Error::other(format!("{host} has no address")))?;
    let mut errors = Vec::new();
    for data in data(mount, address.ip())? {
        let device = Some(mount.device.as_str());
        let kind = Some(mount.kind.as_str());
        match nix::mount::mount(device, &target, kind, flags(mount), Some(data.as_str())) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(error),
        }
    }
    Err(most_specific(&errors).map_or_else(|| Error::other("the mount failed"), Into::into))
}

/// The most specific error of several versions of NFS: the first one that is not about the version.
fn most_specific(errors: &[Errno]) -> Option<Errno> {
    let is_of_version = |error: &&Errno| matches!(error, Errno::EPROTONOSUPPORT | Errno::EINVAL);
    let other = errors.iter().find(|error| !is_of_version(error));
    other.or(errors.first()).copied()
}

/// Whether the server answered and refused.
fn is_refusal(error: &Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(Errno::EACCES | Errno::EPERM | Errno::ENOENT | Errno::EINVAL | Errno::EPROTONOSUPPORT)
    )
}

/// Explains an error of the kernel in terms of the configuration.
fn explain(mount: &Mount, error: &Error) -> String {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else {
        return error.to_string();
    };
    let is_nfs = mount.kind.starts_with("nfs");
    let host = host(&mount.device).unwrap_or_default();
    let why = match errno {
        Errno::EACCES | Errno::EPERM if is_nfs => "the server denies access to this machine",
        Errno::EACCES | Errno::EPERM => {
            "wrong user name or password, or no permission for the share"
        }
        Errno::ENOENT if is_nfs => "the server has no such export",
        Errno::ENOENT => "the server has no such share, or the share has no such folder",
        Errno::EINVAL => "invalid option; hint: `dmesg` names it",
        Errno::EPROTONOSUPPORT | Errno::EOPNOTSUPP => "the server does not support this version",
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

/// The data arguments of mount(2) to try, in order.
fn data(mount: &Mount, address: IpAddr) -> Result<Vec<String>> {
    let flag_names = ["ro", "rw", "noatime", "nodev", "noexec", "nosuid"];
    let own = options(mount);
    let own = own
        .split(',')
        .filter(|one| !one.is_empty() && !flag_names.contains(one));
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
        let common = all.join(",");
        let data = versions.iter().map(|version| match *version {
            "" => common.clone(),
            version => format!("{common},{version}"),
        });
        return Ok(data.collect());
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

/// The options in a credentials file of mount.cifs(8): lines `username=`, `password=` and `domain=`.
fn credentials(file: &str) -> Result<Vec<String>> {
    let path = resolve(file, Path::new(TREE))?;
    let at = |error: Error| Error::other(format!("{file}: {error}"));
    let text = std::fs::read_to_string(path).map_err(at)?;
    Ok(parse_credentials(&text))
}

fn parse_credentials(text: &str) -> Vec<String> {
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
    fn data_lists_each_nfs_version_when_none_is_named() {
        let tried = all("nas:/export /mnt/nas nfs ro,soft");
        assert_eq!(tried.len(), 4);
        assert_eq!(tried[0], "soft,addr=10.0.0.9,vers=4.2");
        assert_eq!(tried[3], "soft,addr=10.0.0.9,vers=3,nolock");
        let named = all("nas:/export /mnt/nas nfs vers=4.1");
        assert_eq!(named, ["vers=4.1,addr=10.0.0.9"]);
    }

    #[test]
    fn most_specific_is_the_error_of_a_version_that_the_server_supports() {
        let (no_version, refused) = (Errno::EPROTONOSUPPORT, Errno::ECONNREFUSED);
        // Of a server with version 4 only, then of one with version 3 only.
        let errors = [Errno::ENOENT, Errno::ENOENT, refused];
        assert_eq!(most_specific(&errors), Some(Errno::ENOENT));
        let errors = [no_version, no_version, Errno::EACCES];
        assert_eq!(most_specific(&errors), Some(Errno::EACCES));
        assert_eq!(
            most_specific(&[Errno::EINVAL, no_version]),
            Some(Errno::EINVAL)
        );
    }

    #[test]
    fn explain_names_what_the_server_refused() {
        let of = |mount: &str, errno: Errno| explain(&mount.parse().unwrap(), &errno.into());
        let share = "//nas/share /mnt cifs";
        assert_eq!(
            of(share, Errno::EACCES),
            "wrong user name or password, or no permission for the share (Permission denied)"
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
    fn is_below_compares_whole_path_components() {
        let mount = |text: &str| text.parse::<Mount>().unwrap();
        let (outer, inner) = (mount("nas:/a /mnt/a"), mount("nas:/b /mnt/a/b/"));
        assert!(is_below(&inner, &outer));
        assert!(!is_below(&outer, &inner) && !is_below(&outer, &outer));
        assert!(!is_below(&mount("nas:/c /mnt/ab"), &outer));
    }

    #[test]
    fn data_has_the_address_and_the_credentials() {
        assert_eq!(host("nas.lan:/export"), Some("nas.lan"));
        assert_eq!(host("//nas/share"), Some("nas"));
        assert_eq!(host("[fd00::9]:/"), Some("fd00::9"));
        assert_eq!(host("/dev/vdb"), None);
        assert_eq!(
            all("//nas/share /mnt cifs guest,vers=3.0"),
            ["ip=10.0.0.9,guest,vers=3.0"]
        );
        assert_eq!(
            parse_credentials("username=me\n# none\npassword = a,b\n"),
            ["username=me", "password= a,,b"]
        );
    }
}

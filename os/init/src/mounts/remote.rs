//! File systems of the network: NFS and CIFS, without the programs that usually mount them. The kernel
//! wants the address of the server beside its name (nfs(5), `addr=`; `fs/smb/client/fs_context.c`, `ip=`).

use std::io::{Error, Result};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use config::Mount;
use nix::mount::MsFlags;

use super::{REMOTE_LIMIT, options};
use crate::report::Report;
use crate::tree::{TREE, engine, place};

/// It exists while something is not mounted that the engine waits for.
const WAITING: &str = "/run/tree/mounts";

/// How long until it is tried again.
const AGAIN: Duration = Duration::from_secs(3);

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

/// Mounts them in the background, until all are.
pub fn mount_all(mut left: Vec<Mount>) {
    if left.is_empty() {
        return;
    }
    let sign = std::fs::create_dir_all("/run/tree").and_then(|()| std::fs::write(WAITING, ""));
    std::thread::spawn(move || {
        let mut report = Report::new();
        if let Err(error) = sign {
            report.say(&format!("rancher: mounts: {WAITING}: {error}"));
        }
        let mut told = false;
        loop {
            left.retain(|mount| match mount_one(mount) {
                Ok(()) => {
                    let (device, folder) = (&mount.device, &mount.folder);
                    report.say(&format!("rancher: mounted {device} on {folder}"));
                    false
                }
                Err(error) => {
                    if !told {
                        let (device, folder) = (&mount.device, &mount.folder);
                        report.say(&format!(
                            "rancher: mounts: {device} on {folder}: {error}; it is tried again"
                        ));
                    }
                    true
                }
            });
            if left.iter().all(|mount| mount.has("nofail")) {
                let _ = std::fs::remove_file(WAITING);
            }
            if left.is_empty() {
                return;
            }
            told = true;
            std::thread::sleep(AGAIN);
        }
    });
}

fn mount_one(mount: &Mount) -> Result<()> {
    let place = place(&mount.folder, Path::new(TREE))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    if super::is_mounted(&mounts, &place.to_string_lossy(), &mount.device) {
        return Ok(());
    }
    let host = host(&mount.device).ok_or_else(|| Error::other("it names no host"))?;
    let address = (host, 0).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| Error::other(format!("{host} has no address")))?;
    let mut last = None;
    for data in data(mount, address.ip())? {
        let device = Some(mount.device.as_str());
        let kind = Some(mount.kind.as_str());
        match nix::mount::mount(device, &place, kind, flags(mount), Some(data.as_str())) {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| Error::other("there is no way to mount it"), Into::into))
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

//! Fetches Debian packages and keeps them unpacked, without running their maintainer scripts.
//!
//! `mmdebstrap` resolves the dependencies, checks the archive's signatures and picks its mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::{self, Key};
use crate::{BuildError, Context, Layout, Package, Progress, Result, computer, program};

/// The Debian release that everything comes from.
pub const SUITE: &str = "trixie";

/// Changes when what is kept of the packages does.
const VERSION: u32 = 1;

/// What the names of kept sets of keys begin with.
const KEYRING: &str = "keyring-";

/// What the names of kept sets of one image's packages begin with.
const OWN: &str = "own-";

/// Where a package set says what is in it.
const INDEX: &str = ".packages";

/// What no image takes anything from, so that it is not even unpacked.
const NOT_UNPACKED: [&str; 6] = [
    "dev/",
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/locale/",
    "usr/share/info/",
    "var/cache/",
];

/// Runs inside mmdebstrap while the downloaded packages still lie in apt's cache: writes each one's
/// version and list of files into the tree.
const INDEX_HOOK: &str = r#"
set -e
mkdir -p "$1/.packages"
for deb in "$1"/var/cache/apt/archives/*.deb; do
    name=$(dpkg-deb --field "$deb" Package)
    dpkg-deb --show --showformat '${Package}\t${Version}\n' "$deb" >> "$1/.packages/versions"
    dpkg-deb --fsys-tarfile "$deb" | tar -t > "$1/.packages/$name.list"
done
"#;

/// An unpacked package set.
#[derive(Debug)]
pub struct Packages {
    /// The tree.
    pub root: PathBuf,
    /// Versions by package.
    versions: BTreeMap<String, String>,
    /// Packages by file, without a leading slash.
    owners: BTreeMap<PathBuf, String>,
}

impl Packages {
    /// The package that a file of the tree came from.
    pub fn owner(&self, path: &Path) -> Option<Package> {
        self.by_name(self.owners.get(path)?)
    }

    /// A package of the set.
    pub fn by_name(&self, name: &str) -> Option<Package> {
        Some(Package {
            name: name.into(),
            version: self.versions.get(name)?.clone(),
        })
    }

    /// All versions, as one text that changes when any of them does.
    pub fn fingerprint(&self) -> String {
        self.versions
            .iter()
            .map(|(name, version)| format!("{name}={version}\n"))
            .collect()
    }

    fn open(root: PathBuf) -> Result<Self> {
        let mut versions = BTreeMap::new();
        let mut owners = BTreeMap::new();
        for line in self::versions(&root)?.lines() {
            let Some((name, version)) = line.split_once('\t') else {
                continue;
            };
            versions.insert(name.to_owned(), version.to_owned());
            for file in index(&root, &format!("{name}.list"))?.lines() {
                owners.insert(file.trim_start_matches("./").into(), name.to_owned());
            }
        }
        Ok(Self {
            root,
            versions,
            owners,
        })
    }
}

/// The packages of an unpacked set with their versions, a line each.
pub fn versions(root: &Path) -> Result<String> {
    index(root, "versions")
}

fn index(root: &Path, name: &str) -> Result<String> {
    let path = root.join(INDEX).join(name);
    std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))
}

/// The packages that definitions name, fetched when they are not kept from before.
pub fn fetch<'a>(
    layout: &Layout,
    names: impl Iterator<Item = &'a String>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Packages> {
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    fetch_as("packages", layout, &names, progress)
}

/// A package with the keys that something is signed with, which are no part of the OS.
pub fn fetch_keyring(layout: &Layout, of: &str, package: &str) -> Result<Packages> {
    let packages = BTreeSet::from([package]);
    fetch_as(&format!("{KEYRING}{of}"), layout, &packages, &mut |_| ())
}

/// The packages of an image that is no part of the OS.
pub fn fetch_own(layout: &Layout, of: &str, packages: &[String]) -> Result<Packages> {
    let packages = packages.iter().map(String::as_str).collect();
    fetch_as(&format!("{OWN}{of}"), layout, &packages, &mut |_| ())
}

/// Packages that are kept under a name; what was kept under it before and is another set goes.
fn fetch_as(
    name: &str,
    layout: &Layout,
    packages: &BTreeSet<&str>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Packages> {
    let mut key = Key::new("packages", VERSION);
    key.add(SUITE).add(INDEX_HOOK);
    for package in packages {
        key.add(package);
    }
    let folder = layout.cache.join(format!("{name}-{}", key.finish()));
    if folder.is_dir() {
        progress(Progress::Kept(name));
        return Packages::open(folder);
    }
    progress(Progress::Begin(name));
    let fresh =
        tempfile::tempdir_in(&layout.cache).context(|| "make a folder for packages".into())?;
    unpack_set(packages, fresh.path())?;
    std::fs::rename(fresh.keep(), &folder).context(|| format!("keep {}", folder.display()))?;
    cache::sweep(&layout.cache, &format!("{name}-"), &folder);
    progress(Progress::Done(name));
    Packages::open(folder)
}

/// Removes the kept package sets.
pub fn forget(layout: &Layout) -> Result<()> {
    for kept in ["packages-", KEYRING, OWN, computer::KEPT] {
        cache::sweep(&layout.cache, kept, Path::new(""));
    }
    Ok(())
}

/// Unpacks packages and all that they depend on into a folder.
pub fn unpack_set(names: &BTreeSet<&str>, to: &Path) -> Result<()> {
    let step = "fetch Debian packages";
    let include: Vec<&str> = names.iter().copied().collect();
    let mut command = Command::new("mmdebstrap");
    command
        // Nothing of what is unpacked is run, so neither root nor a user namespace is needed.
        .args(["--variant=extract", "--mode=chrootless", "--format=tar"])
        .arg(format!("--include={}", include.join(",")))
        .arg(format!("--extract-hook={INDEX_HOOK}"))
        .args([SUITE, "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| program::not_started(step, &command, &error))?;
    let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(BuildError::new(step, "no pipe to mmdebstrap"));
    };
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        // A broken pipe here shows as a bad exit status below.
        let _ = stderr.read_to_end(&mut text);
        text
    });
    let unpacked = unpack(stdout, to);
    if unpacked.is_err() {
        // It would wait for ever to write the rest; its status tells nothing more than ours.
        let _ = child.kill();
    }
    let status = child.wait().context(|| step.into())?;
    let errors = errors.join().unwrap_or_default();
    unpacked.context(|| "unpack Debian packages".into())?;
    if status.success() {
        Ok(())
    } else {
        Err(program::ended(step, &command, status, &errors))
    }
}

fn unpack(from: impl Read, to: &Path) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(false);
    archive.set_preserve_ownerships(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry
            .path()?
            .strip_prefix("./")
            .map(Path::to_path_buf)
            .unwrap_or_default();
        let wanted = !NOT_UNPACKED.iter().any(|prefix| path.starts_with(prefix));
        if wanted && !entry.header().entry_type().is_character_special() {
            entry.unpack_in(to)?;
        }
    }
    Ok(())
}

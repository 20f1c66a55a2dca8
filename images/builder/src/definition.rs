//! Definitions: what each folder of `images/` says is in it (`image.yaml`, `files/`).

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::{BuildError, Context, Result};

/// The name of the definition that becomes the squashfs root.
pub const ROOT: &str = "root";

/// One folder of `images/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The folder's name.
    #[serde(skip)]
    pub name: String,
    /// The folder.
    #[serde(skip)]
    pub folder: PathBuf,
    /// What it is for.
    #[serde(rename = "about")]
    pub _about: String,
    /// The image whose layers come below this one's.
    #[serde(default)]
    pub from: Option<String>,
    /// A distribution's release that it is a whole system of, with `packages` installed as that
    /// distribution does it: an image for a registry, which is not put into the root.
    #[serde(default)]
    pub suite: Option<String>,
    /// An image of files of packages that is for a registry alone, and not put into the root.
    #[serde(default)]
    pub registry: bool,
    /// Who signs that distribution's archive, where Debian's keys do not.
    #[serde(default)]
    pub keyring: Option<Keyring>,
    /// The definition that it is the same as, but for its suite, keyring and components.
    #[serde(default)]
    pub like: Option<String>,
    /// The parts of that distribution's archive that its packages lie in.
    #[serde(default = "main_component")]
    pub components: Vec<String>,
    /// Debian packages that its files come from.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Files of those packages, as globs; shared libraries they need come with them.
    #[serde(default)]
    pub take: Vec<String>,
    /// Symbolic links, by the path that points.
    #[serde(default)]
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// Empty folders and their modes (octal text).
    #[serde(default)]
    pub folders: BTreeMap<PathBuf, String>,
    /// Modes of taken files, where a maintainer script would have changed them (octal text).
    #[serde(default)]
    pub modes: BTreeMap<PathBuf, String>,
    /// A link to busybox for every applet that no other file has the name of.
    #[serde(default)]
    pub applets: bool,
    /// Applets that get no link.
    #[serde(default)]
    pub without_applets: Vec<String>,
    /// All of Mozilla's certificate authorities, as one file at this path.
    #[serde(default)]
    pub certificates: Option<PathBuf>,
    /// Kernel modules by name (root only); what they depend on comes with them.
    #[serde(default)]
    pub modules: Modules,
}

/// The keys of an archive, as a file of a package of Debian, whose own keys a host has.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    /// The package.
    pub package: String,
    /// Its file, absolute.
    pub file: PathBuf,
}

fn main_component() -> Vec<String> {
    vec!["main".into()]
}

/// Kernel modules, by when they are needed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modules {
    /// Before the root can be mounted: these lie in the initrd.
    #[serde(default)]
    pub early: Vec<String>,
    /// In the root.
    #[serde(default)]
    pub root: Vec<String>,
}

impl Definition {
    /// Whether it is a part of the OS.
    fn of_the_os(&self) -> bool {
        self.suite.is_none() && !self.registry
    }

    /// The folder that is copied into the image as it is.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }
}

/// Those that the OS itself is made of.
pub fn of_the_os(all: BTreeMap<String, Definition>) -> BTreeMap<String, Definition> {
    all.into_iter().filter(|(_, one)| one.of_the_os()).collect()
}

/// The Debian packages that the OS is made of.
pub fn packages(all: &BTreeMap<String, Definition>) -> impl Iterator<Item = &String> {
    let os = all.values().filter(|one| one.of_the_os());
    os.flat_map(|one| &one.packages)
}

/// All definitions, by name, with their `from` checked.
pub fn load_all(folder: &Path) -> Result<BTreeMap<String, Definition>> {
    let mut definitions = BTreeMap::new();
    let step = || format!("read {}", folder.display());
    for entry in std::fs::read_dir(folder).context(step)? {
        let path = entry.context(step)?.path();
        if path.join("image.yaml").is_file() {
            let definition = load(&path)?;
            definitions.insert(definition.name.clone(), definition);
        }
    }
    for definition in definitions.clone().into_values() {
        if let Some(like) = &definition.like {
            let alike = alike(&definition, definitions.get(like))?;
            definitions.insert(definition.name, alike);
        }
    }
    for definition in definitions.values() {
        if let Some(below) = definition
            .from
            .as_ref()
            .filter(|from| !definitions.contains_key(*from))
        {
            let file = definition.folder.join("image.yaml");
            return Err(BuildError::new(
                format!("read {}", file.display()),
                format!("`from: {below}`: there is no folder of that name in images/"),
            ));
        }
    }
    if !definitions.contains_key(ROOT) {
        return Err(BuildError::new(
            step(),
            "there is no definition called `root`",
        ));
    }
    Ok(definitions)
}

/// A definition with all of another's but what makes it that of another distribution.
fn alike(definition: &Definition, other: Option<&Definition>) -> Result<Definition> {
    let Some(other) = other.filter(|other| other.like.is_none()) else {
        let file = definition.folder.join("image.yaml");
        return Err(BuildError::new(
            format!("read {}", file.display()),
            "`like` names no definition that stands for itself",
        ));
    };
    Ok(Definition {
        name: definition.name.clone(),
        suite: definition.suite.clone(),
        keyring: definition.keyring.clone(),
        components: definition.components.clone(),
        ..other.clone()
    })
}

fn load(folder: &Path) -> Result<Definition> {
    let file = folder.join("image.yaml");
    let step = || format!("read {}", file.display());
    let text = std::fs::read_to_string(&file).context(step)?;
    let mut definition: Definition = serde_yaml::from_str(&text).context(step)?;
    check_paths(&definition).map_err(|why| BuildError::new(step(), why))?;
    definition.name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    definition.folder = folder.into();
    Ok(definition)
}

/// Its paths lie in the image.
fn check_paths(definition: &Definition) -> std::result::Result<(), String> {
    let links = definition.links.keys();
    let paths = links.chain(definition.folders.keys());
    let mut paths = paths
        .chain(definition.modes.keys())
        .chain(&definition.certificates);
    let above = |path: &&PathBuf| path.components().any(|part| part == Component::ParentDir);
    match paths.find(above) {
        Some(path) => Err(format!("`{}` leads out of the image", path.display())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_this_tree_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let all = load_all(&folder).unwrap();
        assert!(all.contains_key("console"), "{:?}", all.keys());
    }

    #[test]
    fn one_that_is_like_another_is_of_its_own_distribution() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let all = load_all(&folder).unwrap();
        let (debian, ubuntu) = (&all["debian-console"], &all["ubuntu-console"]);
        assert_eq!(ubuntu.packages, debian.packages);
        assert_eq!(ubuntu.suite.as_deref(), Some("noble"));
        assert_eq!(debian.keyring, None);
        let keyring = ubuntu
            .keyring
            .as_ref()
            .expect("Debian's keys do not sign it");
        assert_eq!(keyring.package, "ubuntu-keyring");
    }

    #[test]
    fn path_that_leads_out_of_the_image_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("root");
        std::fs::create_dir(&image).unwrap();
        for key in ["links: { a/../../b: c }", "folders: { ../b: '755' }"] {
            std::fs::write(image.join("image.yaml"), format!("about: x\n{key}\n")).unwrap();
            let error = load_all(folder.path()).unwrap_err().to_string();
            assert!(error.contains("leads out of the image"), "{error}");
        }
    }

    #[test]
    fn a_typo_is_an_error_that_names_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("root");
        std::fs::create_dir(&image).unwrap();
        std::fs::write(image.join("image.yaml"), "about: x\npackges: []\n").unwrap();
        let error = load_all(folder.path()).unwrap_err().to_string();
        assert!(error.contains("root/image.yaml"), "{error}");
        assert!(error.contains("unknown field `packges`"), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }
}

//! Reads definitions: the folders of `images/` with an `image.yaml`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::{BuildError, Context, Result, go};

/// The definition of the squashfs root.
pub(crate) const ROOT: &str = "root";

/// A definition: `image.yaml` and `files/` in a folder of `images/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    /// The folder's name.
    #[serde(skip)]
    pub(crate) name: String,
    /// The folder.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// A description for readers of the file.
    #[serde(rename = "about")]
    pub(crate) _about: String,
    /// The base image.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// The release of a distribution. The image is then a complete system of that distribution with
    /// `packages` installed. It is for a registry and not included in the root.
    #[serde(default)]
    pub(crate) suite: Option<String>,
    /// Whether the image is for a registry only and not included in the root.
    #[serde(default)]
    pub(crate) registry: bool,
    /// The path of a Go program in the image, which is built from the folder `go/` (with `registry` only).
    #[serde(default)]
    pub(crate) go: Option<PathBuf>,
    /// The program that a container runs, and its first arguments; those of `docker run` follow.
    #[serde(default)]
    pub(crate) entrypoint: Vec<String>,
    /// The keys of the distribution's archive, if Debian's keys do not sign it.
    #[serde(default)]
    pub(crate) keyring: Option<Keyring>,
    /// A definition to copy, except for `suite`, `keyring` and `components`.
    #[serde(default)]
    pub(crate) like: Option<String>,
    /// The components of the distribution's archive.
    #[serde(default = "main_component")]
    pub(crate) components: Vec<String>,
    /// The Debian packages that the files come from.
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    /// Files of those packages, as globs. The shared libraries that they need are included.
    #[serde(default)]
    pub(crate) take: Vec<String>,
    /// Symbolic links: a map from the link to its target.
    #[serde(default)]
    pub(crate) links: BTreeMap<PathBuf, PathBuf>,
    /// Empty folders and their modes (octal text).
    #[serde(default)]
    pub(crate) folders: BTreeMap<PathBuf, String>,
    /// Modes of taken files that a maintainer script would have changed (octal text).
    #[serde(default)]
    pub(crate) modes: BTreeMap<PathBuf, String>,
    /// Whether each busybox applet gets a link, unless another file has its name.
    #[serde(default)]
    pub(crate) applets: bool,
    /// Applets without a link.
    #[serde(default)]
    pub(crate) without_applets: Vec<String>,
    /// The path of a file with all of Mozilla's certificate authorities.
    #[serde(default)]
    pub(crate) certificates: Option<PathBuf>,
    /// Kernel modules by name (root only). The modules that they depend on are included.
    #[serde(default)]
    pub(crate) modules: Modules,
}

/// The keys of an archive: a file in a Debian package, whose authenticity a host can verify.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keyring {
    /// The package.
    pub(crate) package: String,
    /// The absolute path of the file.
    pub(crate) file: PathBuf,
}

fn main_component() -> Vec<String> {
    vec!["main".into()]
}

/// Kernel modules, by when they are needed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Modules {
    /// Modules in the initrd, which are needed to mount the root.
    #[serde(default)]
    pub(crate) early: Vec<String>,
    /// Modules in the root.
    #[serde(default)]
    pub(crate) root: Vec<String>,
}

impl Definition {
    /// Whether it is part of the OS.
    fn of_the_os(&self) -> bool {
        self.suite.is_none() && !self.registry
    }

    /// The folder with the source of the Go program.
    pub(crate) fn go_source(&self) -> PathBuf {
        self.folder.join("go")
    }

    /// The folder that is copied into the image.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join("files")
    }
}

/// The definitions that are part of the OS.
pub(crate) fn of_the_os(all: BTreeMap<String, Definition>) -> BTreeMap<String, Definition> {
    all.into_iter().filter(|(_, one)| one.of_the_os()).collect()
}

/// The Debian packages of the OS.
pub(crate) fn packages(all: &BTreeMap<String, Definition>) -> impl Iterator<Item = &String> {
    let os = all.values().filter(|one| one.of_the_os());
    os.flat_map(|one| &one.packages)
}

/// Reads all definitions, by name, and checks `from` and `like`.
pub(crate) fn load_all(folder: &Path) -> Result<BTreeMap<String, Definition>> {
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
            let copy = copy_of(&definition, definitions.get(like))?;
            definitions.insert(definition.name, copy);
        }
    }
    for definition in definitions.values() {
        if let Some(base) = definition
            .from
            .as_ref()
            .filter(|from| !definitions.contains_key(*from))
        {
            let file = definition.folder.join("image.yaml");
            return Err(BuildError::new(
                format!("read {}", file.display()),
                format!("`from: {base}`: images/ has no such definition"),
            ));
        }
    }
    if !definitions.contains_key(ROOT) {
        return Err(BuildError::new(step(), "the definition `root` is missing"));
    }
    Ok(definitions)
}

/// A copy of another definition for a different distribution.
fn copy_of(definition: &Definition, other: Option<&Definition>) -> Result<Definition> {
    let Some(other) = other.filter(|other| other.like.is_none()) else {
        let file = definition.folder.join("image.yaml");
        return Err(BuildError::new(
            format!("read {}", file.display()),
            "`like` must name a definition without `like`",
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
    definition.name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    definition.folder = folder.into();
    check_paths(&definition)
        .and_then(|()| check_programs(&definition))
        .map_err(|(key, cause)| BuildError::new(at_key(&file, &text, key), cause))?;
    Ok(definition)
}

/// The step of an error in the value of a key at the top level, with the line of the key.
fn at_key(file: &Path, text: &str, key: &str) -> String {
    let is_key = |line: &str| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(':'))
    };
    match text.lines().position(is_key) {
        Some(line) => format!("read {}, line {}", file.display(), line + 1),
        None => format!("read {}", file.display()),
    }
}

/// A key, and what is wrong with its value.
type Mistake = (&'static str, String);

/// Checks the program that the image runs, and the one that is built for it.
fn check_programs(definition: &Definition) -> std::result::Result<(), Mistake> {
    if let Some(program) = definition.entrypoint.first()
        && !program.starts_with('/')
    {
        let cause =
            format!("`{program}` is not an absolute path; hint: write `/usr/bin/{program}`");
        return Err(("entrypoint", cause));
    }
    let Some(program) = &definition.go else {
        return Ok(());
    };
    let cause = if !program.is_absolute() {
        format!("`{}` is not an absolute path", program.display())
    } else if !definition.registry {
        "only an image with `registry: true` can have a Go program".into()
    } else if let Some(missing) = go::FILES
        .iter()
        .find(|file| !definition.go_source().join(file).is_file())
    {
        format!(
            "the source of the program is missing; hint: create `go/{missing}` next to this file"
        )
    } else {
        return Ok(());
    };
    Err(("go", cause))
}

/// Checks that all paths are inside the image.
fn check_paths(definition: &Definition) -> std::result::Result<(), Mistake> {
    let of_key = |key, paths: Vec<&PathBuf>| {
        let is_outside =
            |path: &&PathBuf| path.components().any(|part| part == Component::ParentDir);
        match paths.into_iter().find(is_outside) {
            Some(path) => Err((key, format!("`{}` is outside the image", path.display()))),
            None => Ok(()),
        }
    };
    of_key("links", definition.links.keys().collect())?;
    of_key("folders", definition.folders.keys().collect())?;
    of_key("modes", definition.modes.keys().collect())?;
    of_key("certificates", definition.certificates.iter().collect())?;
    of_key("go", definition.go.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_this_repository_are_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let all = load_all(&folder).unwrap();
        assert!(all.contains_key("console"), "{:?}", all.keys());
    }

    #[test]
    fn copy_of_a_definition_has_its_own_distribution() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let all = load_all(&folder).unwrap();
        let (debian, ubuntu) = (&all["debian-console"], &all["ubuntu-console"]);
        assert_eq!(ubuntu.packages, debian.packages);
        assert_eq!(ubuntu.suite.as_deref(), Some("noble"));
        assert_eq!(debian.keyring, None);
        let keyring = ubuntu
            .keyring
            .as_ref()
            .expect("Debian's keys do not sign Ubuntu's archive");
        assert_eq!(keyring.package, "ubuntu-keyring");
    }

    #[test]
    fn path_outside_the_image_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("root");
        std::fs::create_dir(&image).unwrap();
        for key in ["links: { a/../../b: c }", "folders: { ../b: '755' }"] {
            std::fs::write(image.join("image.yaml"), format!("about: x\n{key}\n")).unwrap();
            let error = load_all(folder.path()).unwrap_err().to_string();
            assert!(error.contains("image.yaml, line 2: "), "{error}");
            assert!(error.contains("is outside the image"), "{error}");
        }
    }

    /// The error of a definition with these lines after its first one.
    fn error_of(lines: &str, sources: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("root");
        std::fs::create_dir_all(image.join("go")).unwrap();
        for source in sources {
            std::fs::write(image.join("go").join(source), "").unwrap();
        }
        std::fs::write(image.join("image.yaml"), format!("about: x\n{lines}\n")).unwrap();
        let error = load_all(folder.path()).unwrap_err().to_string();
        error.replace(&folder.path().display().to_string(), "images")
    }

    #[test]
    fn program_error_names_file_and_line() {
        let go = "registry: true\ngo: /usr/bin/x";
        let cases: [(&str, &[&str], &str); 6] = [
            (
                "entrypoint: [etcd]",
                &[],
                "line 2: `etcd` is not an absolute path; hint: write `/usr/bin/etcd`",
            ),
            (
                "registry: true\ngo: x",
                &[],
                "line 3: `x` is not an absolute path",
            ),
            (
                "go: /x",
                &[],
                "line 2: only an image with `registry: true` can have a Go program",
            ),
            ("go: /../x", &[], "line 2: `/../x` is outside the image"),
            (
                go,
                &[],
                "line 3: the source of the program is missing; hint: create `go/go.mod` next to this file",
            ),
            (
                go,
                &["go.mod", "main.go"],
                "line 3: the source of the program is missing; hint: create `go/go.sum` next to this file",
            ),
        ];
        for (lines, sources, expected) in cases {
            let expected = format!("failed to read images/root/image.yaml, {expected}");
            assert_eq!(error_of(lines, sources), expected);
        }
        let text = error_of("entrypoint: etcd", &[]);
        assert!(
            text.contains("root/image.yaml: entrypoint: invalid type: string"),
            "{text}"
        );
        assert!(text.contains("at line 2"), "{text}");
    }

    #[test]
    fn unknown_key_error_names_file_and_line() {
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

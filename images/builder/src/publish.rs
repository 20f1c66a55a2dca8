//! Builds images for a registry, as files that it can serve.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cache::{self, Key, sha256};
use crate::definition::{self, Definition};
use crate::tree::{Node, Tree};
use crate::{BuildError, Context, Layout, Result, archive, go, packages, root, system};

/// The version of the code that builds images; part of the cache key.
const VERSION: u32 = 1;

/// The files of an image.
#[derive(Debug, Clone)]
pub struct Published {
    /// The name, without a registry and a tag.
    pub name: String,
    /// The tag: the version of the OS.
    pub tag: String,
    /// The configuration.
    pub config: PathBuf,
    /// The layers as tar archives, the lowest first.
    pub layers: Vec<PathBuf>,
}

/// Builds the image of a definition, unless it is cached.
///
/// # Errors
/// There is no such definition, or its packages cannot be fetched.
pub fn publish(workspace: &Path, name: &str) -> Result<Published> {
    let layout = Layout::of(workspace);
    let _lock = layout.lock()?;
    let all = definition::load_all(&layout.definitions)?;
    let chain = chain(&all, name)?;
    let folder = cached(&layout, &chain)?;
    if !folder.is_dir() {
        let fresh = tempfile::tempdir_in(&layout.cache).context(|| "create a folder".into())?;
        write(&layout, &all, &chain, fresh.path())?;
        cache::remove_others(&layout.cache, &prefix(name), &folder);
        std::fs::rename(fresh.keep(), &folder).context(|| format!("cache {}", folder.display()))?;
    }
    let definition = &all[name];
    let files = cache::files_below(&folder)?;
    let layers = files
        .iter()
        .filter(|file| file.extension() == Some("tar".as_ref()));
    Ok(Published {
        name: archive::reference(definition),
        tag: archive::TAG.into(),
        config: folder.join(CONFIG),
        layers: layers.map(|file| folder.join(file)).collect(),
    })
}

/// Checks whether the image can be built here: it is cached, or its packages can be fetched.
///
/// # Errors
/// The image cannot be built; the error says why.
pub fn within_reach(workspace: &Path, name: &str) -> Result<()> {
    let layout = Layout::of(workspace);
    let all = definition::load_all(&layout.definitions)?;
    // A missing definition is not a limitation of this host; `publish` reports it.
    let Ok(chain) = chain(&all, name) else {
        return Ok(());
    };
    if cached(&layout, &chain)?.is_dir() {
        return Ok(());
    }
    let _lock = layout.lock()?;
    let mut chain = chain.into_iter();
    chain.try_for_each(|definition| system::within_reach(&layout, definition))
}

const CONFIG: &str = "config.json";

fn prefix(name: &str) -> String {
    format!("published-{name}-")
}

/// A definition and its base images, the lowest first.
fn chain<'a>(all: &'a BTreeMap<String, Definition>, name: &str) -> Result<Vec<&'a Definition>> {
    let missing = || {
        let names: Vec<_> = all.keys().map(String::as_str).collect();
        BuildError {
            hint: Some(format!("use one of {}", names.join(", "))),
            ..BuildError::new(
                format!("publish `{name}`"),
                "images/ has no such definition",
            )
        }
    };
    let mut chain = vec![all.get(name).ok_or_else(missing)?];
    while let Some(below) = chain[0].from.as_ref() {
        if chain.len() > all.len() {
            return Err(BuildError::new(
                format!("publish `{name}`"),
                "the definition is based on itself",
            ));
        }
        chain.insert(0, &all[below]);
    }
    Ok(chain)
}

/// The folder of the cached image.
fn cached(layout: &Layout, chain: &[&Definition]) -> Result<PathBuf> {
    let mut key = Key::new("published", VERSION);
    key.add(archive::TAG);
    for definition in chain {
        key.add(&definition.name).add_folder(&definition.folder)?;
        for part in definition.suite.iter().chain(&definition.components) {
            key.add(part);
        }
    }
    let name = chain.last().map_or("", |one| one.name.as_str());
    Ok(layout.cache.join(prefix(name) + &key.finish()))
}

fn write(
    layout: &Layout,
    all: &BTreeMap<String, Definition>,
    chain: &[&Definition],
    folder: &Path,
) -> Result<()> {
    let mut layers = Vec::new();
    let layer = |layers: &Vec<String>| folder.join(format!("{:02}.tar", layers.len()));
    let add = |layers: &mut Vec<String>, path: PathBuf| {
        let file = std::fs::File::open(&path).context(|| format!("read {}", path.display()))?;
        layers.push(sha256(file).context(|| "hash a layer".into())?);
        Ok(())
    };
    let mut below = Tree::default();
    for definition in chain {
        if let Some(suite) = &definition.suite {
            let path = layer(&layers);
            system::install(layout, definition, suite, &path)?;
            add(&mut layers, path)?;
        }
        let own = own_files(layout, all, definition, &below)?;
        if own.iter().next().is_some() {
            let path = layer(&layers);
            cache::write_atomically(&path, |file| own.write_tar(std::io::BufWriter::new(file)))?;
            add(&mut layers, path)?;
        }
        for (path, node) in own.iter() {
            below.insert(path, node.clone());
        }
    }
    let Some(last) = chain.last() else {
        return Ok(());
    };
    let config = archive::config(last, &layers)?;
    std::fs::write(folder.join(CONFIG), config).context(|| "write an image's config".into())
}

/// The files that a definition adds to its base image.
fn own_files(
    layout: &Layout,
    all: &BTreeMap<String, Definition>,
    definition: &Definition,
    below: &Tree,
) -> Result<Tree> {
    if definition.suite.is_some() {
        return root::own_entries(definition);
    }
    let packages = if definition.registry && !definition.packages.is_empty() {
        packages::fetch_own(layout, &definition.name, &definition.packages)?
    } else {
        packages::fetch(layout, definition::packages(all), &mut |_| ())?
    };
    let mut tree = root::content(definition, &packages, below)?;
    if let Some(program) = &definition.go {
        tree.insert(program, Node::File(go::build(layout, definition)?, 0o755));
    }
    Ok(tree)
}

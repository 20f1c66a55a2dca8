//! Images for a registry: what a definition makes, as files that can be served.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cache::{self, Key, sha256};
use crate::definition::{self, Definition};
use crate::tree::Tree;
use crate::{BuildError, Context, Layout, Result, archive, packages, root, system};

/// Changes when what is made of a definition does.
const VERSION: u32 = 1;

/// An image as files.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its name, without a registry and a tag.
    pub name: String,
    /// Its tag: the version of the OS.
    pub tag: String,
    /// Its configuration.
    pub config: PathBuf,
    /// Its layers as tar archives, the lowest first.
    pub layers: Vec<PathBuf>,
}

/// Makes the image of a definition, unless it is kept from before.
///
/// # Errors
/// There is no such definition, or what it is made from cannot be fetched.
pub fn publish(workspace: &Path, name: &str) -> Result<Published> {
    let layout = Layout::of(workspace);
    let _lock = layout.lock()?;
    let all = definition::load_all(&layout.definitions)?;
    let chain = chain(&all, name)?;
    let folder = kept(&layout, &chain)?;
    if !folder.is_dir() {
        let fresh = tempfile::tempdir_in(&layout.cache).context(|| "make a folder".into())?;
        write(&layout, &all, &chain, fresh.path())?;
        cache::sweep(&layout.cache, &prefix(name), &folder);
        std::fs::rename(fresh.keep(), &folder).context(|| format!("keep {}", folder.display()))?;
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

/// Whether the image can be made here: it is kept from before, or what it is made from can be fetched.
///
/// # Errors
/// Why not.
pub fn within_reach(workspace: &Path, name: &str) -> Result<()> {
    let layout = Layout::of(workspace);
    let all = definition::load_all(&layout.definitions)?;
    // One that is not there is a mistake, which `publish` tells, and no lack of this host.
    let Ok(chain) = chain(&all, name) else {
        return Ok(());
    };
    if kept(&layout, &chain)?.is_dir() {
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

/// A definition after all that it is made from.
fn chain<'a>(all: &'a BTreeMap<String, Definition>, name: &str) -> Result<Vec<&'a Definition>> {
    let missing = || {
        let names: Vec<_> = all.keys().map(String::as_str).collect();
        let why = format!(
            "images/ has no definition of that name; it has {}",
            names.join(", ")
        );
        BuildError::new(format!("publish `{name}`"), why)
    };
    let mut chain = vec![all.get(name).ok_or_else(missing)?];
    while let Some(below) = chain[0].from.as_ref() {
        if chain.len() > all.len() {
            return Err(BuildError::new(
                format!("publish `{name}`"),
                "it is made from itself",
            ));
        }
        chain.insert(0, &all[below]);
    }
    Ok(chain)
}

fn kept(layout: &Layout, chain: &[&Definition]) -> Result<PathBuf> {
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
            cache::write_whole(&path, |file| own.write_tar(std::io::BufWriter::new(file)))?;
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

/// What a definition puts on top of what is below it.
fn own_files(
    layout: &Layout,
    all: &BTreeMap<String, Definition>,
    definition: &Definition,
    below: &Tree,
) -> Result<Tree> {
    if definition.suite.is_some() {
        return root::on_top(definition);
    }
    let packages = match definition.registry {
        true => packages::fetch_own(layout, &definition.name, &definition.packages)?,
        false => packages::fetch(layout, definition::packages(all), &mut |_| ())?,
    };
    root::content(definition, &packages, below)
}
